"""The file of users: its lines, and whom they let in."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gateway.dimse import users
from gateway.dimse.users import UserIdentity
from gateway.errors import KeyFileError, UsageError


def written(folder: Path, text: str) -> Path:
    path = folder / "users"
    path.touch(mode=0o600)
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("name", "password"), [("ct", b"x"), ("Röntgen 2", b"with:colon $argon2id$"), ("a#b", b"\x00\xff" * 40)]
)
def test_a_line_lets_in_its_name_with_its_password_only(tmp_path: Path, name: str, password: bytes) -> None:
    known = users.read(written(tmp_path, f"\n# comment\n{users.line(name, password)}\n"))
    assert users.is_right(known, UserIdentity(2, name.encode(), password))
    assert not users.is_right(known, UserIdentity(2, name.encode(), password + b"x"))
    assert not users.is_right(known, UserIdentity(2, name.encode() + b" ", password))


def test_a_damaged_hash_lets_nobody_in(tmp_path: Path) -> None:
    known = users.read(written(tmp_path, users.line("ct", b"x")[:-4]))
    assert not users.is_right(known, UserIdentity(2, b"ct", b"x"))


@pytest.mark.parametrize(
    ("name", "password"), [("", b"x"), ("a:b", b"x"), (" a", b"x"), ("#a", b"x"), ("a", b"")]
)
def test_names_and_passwords_that_can_not_be_used_are_refused(name: str, password: bytes) -> None:
    with pytest.raises(UsageError):
        users.line(name, password)


@pytest.mark.parametrize("text", ["ct:secret", "ct", "ct:$2b$12$abc"])
def test_a_line_that_is_no_user_is_named_and_not_quoted(tmp_path: Path, text: str) -> None:
    with pytest.raises(KeyFileError, match="line 2") as caught:
        users.read(written(tmp_path, f"#\n{text}\n"))
    assert text not in str(caught.value)


def test_a_password_is_not_shown() -> None:
    assert "secret" not in repr(UserIdentity(2, b"ct", b"secret"))


def test_the_command_prints_a_line_for_the_password_of_standard_input(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "gateway.commands.main", "password", "ct 1"]
    done = subprocess.run(command, input="p w\n", capture_output=True, text=True, timeout=240, check=True)
    assert users.is_right(users.read(written(tmp_path, done.stdout)), UserIdentity(2, b"ct 1", b"p w"))
