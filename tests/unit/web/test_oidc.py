"""Tokens of an identity provider: which are accepted, and what happens while its keys can't be read."""

from __future__ import annotations

import base64
import hmac
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config.http import HttpSettings, OidcSettings
from gateway.web import oidc
from gateway.web.errors import IdentityUnavailable, Unauthenticated
from tests.support.web import (
    AUDIENCE,
    ISSUER,
    IdentityProvider,
    audit_lines,
    backend,
    bearer,
    identity_provider,
    serving,
    token,
)


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


HANG_S = 120.0
ROLES = {"readers": ("extract",), "it": ("operate", "administer")}


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def provider() -> Iterator[IdentityProvider]:
    with identity_provider() as running:
        yield running


def table(provider: IdentityProvider, **changed: Any) -> OidcSettings:
    given = {"issuer": ISSUER, "audience": AUDIENCE, "jwks_url": provider.url, "roles": ROLES} | changed
    return OidcSettings(**given)


def test_a_group_of_the_provider_gives_its_roles_over_http(
    provider: IdentityProvider, tmp_path: Path
) -> None:
    static = token("batch", "static", "operate")
    with serving(HttpSettings(port=0, oidc=table(provider), token=(static,)), backend(tmp_path)) as url:

        def asked(text: str) -> int:
            return httpx.get(f"{url}/api/v1/queue", headers=bearer(text), timeout=HANG_S).status_code

        assert asked(provider.token(roles=["it", "strangers"])) == 200
        assert asked(provider.token(roles=["readers"])) == 403
        assert asked(provider.token(roles=None)) == 403
        assert asked(provider.token(aud="another-service", roles=["it"])) == 401
        assert asked("static") == 200
        refused = httpx.post(
            f"{url}/api/v1/restore", content=b"x", headers=bearer(provider.token()), timeout=HANG_S
        )
        assert refused.status_code == 403
    assert provider.answers == 1
    line = audit_lines(tmp_path)[-1]
    assert (line["caller"], line["outcome"], line["address"]) == ("oidc:dr-house", "denied", "127.0.0.1")


NOW = int(time.time())


@pytest.mark.parametrize(
    "changed",
    [
        {"exp": NOW - 120},
        {"exp": None},
        {"iat": None},
        {"sub": None},
        {"nbf": NOW + 3600},
        {"iss": "https://identity.example/realms/other"},
        {"iss": None},
        {"aud": "other"},
        {"aud": None},
    ],
    # Without the time: all test processes must find the same names.
    ids=lambda changed: "-".join(
        f"{name}-{'none' if value is None else 'other'}" for name, value in changed.items()
    ),
)
def test_each_claim_counts(provider: IdentityProvider, changed: dict[str, Any]) -> None:
    checked = oidc.Provider(table(provider))
    assert checked.identify(provider.token()) == ("dr-house", frozenset({"extract"}))
    with pytest.raises(Unauthenticated):
        checked.identify(provider.token(**changed))


def test_roles_are_found_below_a_path_in_a_text_and_under_a_name_with_dots(
    provider: IdentityProvider,
) -> None:
    for claim, claims in (
        ("realm_access.roles", {"realm_access": {"roles": ["it"]}}),
        ("scope", {"scope": "openid it"}),
        ("https://example.org/groups", {"https://example.org/groups": ["it"]}),
    ):
        _, roles = oidc.Provider(table(provider, roles_claim=claim)).identify(provider.token(**claims))
        assert roles == {"operate", "administer"}


@pytest.mark.parametrize("roles", [{"it": True}, 7, [["it"]], [None, 3], "its"], ids=str)
def test_roles_of_another_shape_are_none(provider: IdentityProvider, roles: object) -> None:
    assert oidc.Provider(table(provider)).identify(provider.token(roles=roles))[1] == frozenset()


def test_unsigned_and_hmac_tokens_are_refused(provider: IdentityProvider) -> None:
    """The known attacks of RFC 8725: alg none, and the public key taken for a shared secret."""
    claims = jwt.decode(provider.token(), options={"verify_signature": False})
    checked = oidc.Provider(table(provider))
    header = {"kid": "rsa-1"}
    forged = [jwt.encode(claims, "", algorithm="none", headers=header)]
    head, body, signature = provider.token().split(".")
    unsigned = f"{_encoded(json.dumps({'alg': 'HS256', 'kid': 'rsa-1'}).encode())}.{body}"
    public = provider.keys["rsa-1"].public_key()
    for form, kind in ((Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), (Encoding.DER, PublicFormat.PKCS1)):
        shared = hmac.digest(public.public_bytes(form, kind), unsigned.encode(), "sha256")
        forged.append(f"{unsigned}.{_encoded(shared)}")
    for alg in ("none", "HS256", "ES256", "RS512"):
        other = (
            base64.urlsafe_b64encode(json.dumps({"alg": alg, "kid": "rsa-1"}).encode()).rstrip(b"=").decode()
        )
        forged += [f"{other}.{body}.{signature}", f"{other}.{body}."]
    changed = _encoded(json.dumps(claims | {"sub": "eve"}).encode())
    forged.append(f"{head}.{changed}.{signature}")
    for text in forged:
        with pytest.raises(Unauthenticated):
            checked.identify(text)


def test_a_secret_published_as_a_key_is_passed_over(provider: IdentityProvider, tmp_path: Path) -> None:
    secret = {"kty": "oct", "kid": "s", "k": base64.urlsafe_b64encode(b"k" * 32).decode()}
    (tmp_path / "jwks.json").write_text(json.dumps({"keys": [secret, *provider.jwks()["keys"]]}))
    checked = oidc.Provider(table(provider, jwks_url=None, jwks_file=tmp_path / "jwks.json"))
    assert checked.identify(provider.token())[0] == "dr-house"
    claims = jwt.decode(provider.token(), options={"verify_signature": False})
    with pytest.raises(Unauthenticated):
        checked.identify(jwt.encode(claims, b"k" * 32, algorithm="HS256", headers={"kid": "s"}))


def test_new_keys_of_the_provider_are_found_but_not_asked_for_at_every_forgery(
    provider: IdentityProvider,
) -> None:
    clock = Clock()
    checked = oidc.Provider(table(provider), clock)
    checked.identify(provider.token())
    provider.make_key("ec-2")
    with pytest.raises(Unauthenticated):
        checked.identify(provider.token("ec-2"))
    assert provider.answers == 1
    clock.now += oidc.PAUSE_S
    assert checked.identify(provider.token("ec-2"))[0] == "dr-house"
    assert provider.answers == 2


def test_a_key_that_the_provider_withdrew_is_believed_no_longer_than_configured(
    provider: IdentityProvider,
) -> None:
    clock = Clock()
    checked = oidc.Provider(table(provider), clock)
    old = provider.token()
    checked.identify(old)
    provider.keys.clear()
    provider.make_key("rsa-2")
    clock.now += 299
    checked.identify(old)
    clock.now += 1
    with pytest.raises(Unauthenticated):
        checked.identify(old)


def test_while_the_keys_can_not_be_read_nobody_gets_in_and_nobody_waits(tmp_path: Path) -> None:
    clock = Clock()
    with identity_provider() as provider:
        checked = oidc.Provider(table(provider), clock)
        good = provider.token()
        checked.identify(good)
        settings = HttpSettings(port=0, oidc=table(provider))
    clock.now += 300
    for _ in range(2):
        with pytest.raises(IdentityUnavailable):
            checked.identify(good)
    with serving(settings, backend(tmp_path)) as url:
        answer = httpx.post(f"{url}/api/v1/extract", content=b"x", headers=bearer(good), timeout=HANG_S)
    assert (answer.status_code, answer.json()["error"]) == (503, "identity-unavailable")
    assert "jwks_url" in answer.json()["hint"]
    assert audit_lines(tmp_path)[0]["reason"] == "identity-unavailable"


def test_redirections_of_the_key_address_are_not_followed(provider: IdentityProvider) -> None:
    provider.redirect = provider.url.replace("/jwks", "/elsewhere")
    clock = Clock()
    checked = oidc.Provider(table(provider), clock)
    for _ in range(2):  # the second time nobody is asked, and nobody waits
        with pytest.raises(IdentityUnavailable):
            checked.identify(provider.token())
    assert provider.answers == 1
    provider.redirect = None
    clock.now += oidc.PAUSE_S
    assert checked.identify(provider.token())[0] == "dr-house"


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"keys": [{"kty": "RSA"}]}', '{"keys": 3}', "\ud7ff"])
def test_damaged_key_files_let_nobody_in(provider: IdentityProvider, tmp_path: Path, content: str) -> None:
    (tmp_path / "jwks.json").write_text(content)
    checked = oidc.Provider(table(provider, jwks_url=None, jwks_file=tmp_path / "jwks.json"))
    with pytest.raises(IdentityUnavailable):
        checked.identify(provider.token())


@pytest.fixture(scope="module")
def offline(tmp_path_factory: pytest.TempPathFactory) -> oidc.Provider:
    """A provider whose keys are in a file."""
    path = tmp_path_factory.mktemp("keys") / "jwks.json"
    with identity_provider() as provider:
        path.write_text(json.dumps(provider.jwks()))
        return oidc.Provider(table(provider, jwks_url=None, jwks_file=path))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=200, deadline=None)
@given(
    header=st.dictionaries(
        st.sampled_from(["alg", "kid", "crit", "b64", "typ", "jwk"]), JSON | st.just("RS256")
    ),
    body=st.binary(max_size=50) | JSON.map(lambda value: json.dumps(value).encode()),
    signature=st.text(alphabet="abcXYZ019-_=.é", max_size=20),
)
def test_whatever_is_sent_for_a_token_is_refused_and_breaks_nothing(
    offline: oidc.Provider, header: dict[str, Any], body: bytes, signature: str
) -> None:
    text = f"{_encoded(json.dumps(header).encode())}.{_encoded(body)}.{signature}"
    with pytest.raises(Unauthenticated):
        offline.identify(text)
