"""The [http] table: which mistakes are refused."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from pydantic import ValidationError

from gateway.commands.check import command as check
from gateway.commands.token import command
from gateway.config.http import HttpSettings, Token
from gateway.web.identity import Callers

HASH = "0" * 64
OIDC = {"issuer": "i", "audience": "a", "jwks_url": "https://i/jwks", "roles": {"x": ["verify"]}}


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"host": "0.0.0.0"}, "http.insecure"),
        ({"host": "::"}, "http.insecure"),
        ({"host": "gateway.example", "token": "t" * 32}, "http.insecure"),
        ({"tls": {}}, "tls.certificate"),
        ({"tls": {"certificate": "a.pem"}}, "belong together"),
        ({"token": ""}, "empty token"),
        ({"token": "t"}, "sealgate token"),
        ({"token": "t" * 31}, "less than 32 characters"),
        ({"trusted_proxies": ["proxy.example"]}, "no address and no range"),
        ({"token": [{"name": "a", "roles": [], "sha256": HASH}]}, "token.0.roles"),
        ({"token": [{"name": "a", "roles": ["root"], "sha256": HASH}]}, "token.0.roles"),
        ({"token": [{"name": "a b", "roles": ["verify"], "sha256": HASH}]}, "token.0.name"),
        ({"token": [{"name": "a", "roles": ["verify"], "sha256": "secret"}]}, "token.0.sha256"),
        ({"token": [{"name": n, "roles": ["verify"], "sha256": HASH} for n in "ab"]}, "the same token"),
        ({"token": [{"name": "a", "roles": ["verify"], "sha256": f"{i:064}"} for i in (1, 2)]}, "same name"),
        ({"oidc": OIDC | {"jwks_url": "http://identity.example/jwks"}}, "https"),
        ({"oidc": OIDC | {"jwks_url": "file:///etc/passwd"}}, "https"),
        ({"oidc": OIDC | {"jwks_url": None}}, "one of jwks_url and jwks_file"),
        ({"oidc": OIDC | {"algorithms": ["HS256"]}}, "algorithms"),
        ({"oidc": OIDC | {"algorithms": ["none"]}}, "algorithms"),
        ({"oidc": OIDC | {"roles": {}}}, "roles"),
        ({"allowed_origins": "*"}, "no origin"),
        ({"allowed_origins": ["null"]}, "no origin"),
        ({"allowed_origins": ["https://viewer.example/"]}, "no origin"),
        ({"allowed_origins": ["https://a@viewer.example"]}, "no origin"),
    ],
    ids=str,
)
def test_what_would_let_in_too_many_is_a_mistake(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        HttpSettings.model_validate(settings)


@pytest.mark.parametrize(
    ("settings", "open_to_all"),
    [
        ({}, True),
        ({"host": "::1"}, True),
        ({"host": "localhost"}, True),
        ({"token": "t" * 32}, False),
        ({"oidc": OIDC}, False),
        ({"host": "0.0.0.0", "insecure": True}, True),
        ({"host": "0.0.0.0", "insecure": True, "token": "t" * 32}, False),
        ({"host": "0.0.0.0", "tls": {"certificate": "c", "key": "k"}}, False),
        ({"tls": {"certificate": "c", "key": "k"}}, True),
    ],
    ids=str,
)
def test_verification_is_for_all_on_loopback_or_where_that_is_written(
    settings: dict[str, Any], open_to_all: bool
) -> None:
    assert HttpSettings.model_validate(settings).verifies_for_all == open_to_all


@pytest.mark.parametrize(
    ("settings", "open_to_all"),
    [
        ({}, True),
        ({"host": "::1"}, True),
        ({"token": "t" * 32}, False),
        ({"oidc": OIDC}, False),
        ({"host": "0.0.0.0", "insecure": True}, False),
    ],
    ids=str,
)
def test_the_archive_is_for_programs_on_this_machine_alone(
    settings: dict[str, Any], open_to_all: bool
) -> None:
    """`insecure` lets others verify without a token; patients are another matter."""
    assert HttpSettings.model_validate(settings).retrieves_for_all == open_to_all


def test_a_made_token_is_the_one_whose_hash_is_printed() -> None:
    done = CliRunner().invoke(command, ["ward-3", "--role", "extract", "--role", "verify"])
    assert done.exit_code == 0
    text, toml = done.output.split("\n", 1)
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    assert f'sha256 = "{sha256}"' in toml
    token = Token(name="ward-3", roles=("extract", "verify"), sha256=sha256)
    caller = Callers(HttpSettings(token=(token,))).identify(f"Bearer {text}")
    assert (caller.name, caller.roles) == ("ward-3", frozenset({"extract", "verify"}))


def test_a_token_without_a_role_is_not_made() -> None:
    done = CliRunner().invoke(command, ["ward-3"], standalone_mode=False)
    assert isinstance(done.exception, click.UsageError)


def test_no_secret_is_in_what_is_printed_of_the_configuration() -> None:
    assert "s3cret" not in repr(HttpSettings.model_validate({"token": "s3cret" * 8}))


CONFIGURATION = """
[http]
insecure = true
host = "0.0.0.0"

[[http.token]]
name = "ward"
roles = ["extract"]
sha256 = "{hash}"

[[node]]
name = "ct"
ae_title = "CT"
hosts = ["127.0.0.1"]

[[destination]]
name = "pacs"
ae_title = "PACS"
host = "127.0.0.1"
port = 104

[[route]]
called = "SEALGATE"
action = "pass"
to = ["pacs"]
"""


def test_check_tells_what_is_open_and_which_role_opens_nothing(tmp_path: Path) -> None:
    path = tmp_path / "sealgate.toml"
    path.write_text(CONFIGURATION.format(hash=HASH))
    told = CliRunner().invoke(check, ["--config", str(path)]).output
    assert "may cross the network in clear" in told
    assert "the role extract is given" in told
    assert "whoever reaches the port may have objects verified" not in told
    path.write_text(re.sub(r"\[\[http.token.*?\n\n", "", CONFIGURATION, flags=re.DOTALL))
    told = CliRunner().invoke(check, ["--config", str(path)]).output
    assert "whoever reaches the port may have objects verified" in told
    assert "the role extract is given" not in told
