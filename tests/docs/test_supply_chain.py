"""What is deployed is what was locked: every package with hashes, every dependency of the project among them."""

from __future__ import annotations

import re
import tomllib

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.docs.tables import REPOSITORY

LOCK = (REPOSITORY / "deploy" / "requirements.lock").read_text()
ENTRIES = [entry.replace("\\\n", " ") for entry in re.split(r"\n(?=\S)", LOCK.strip())]


def test_every_locked_package_has_one_version_and_hashes() -> None:
    assert len(ENTRIES) > 20
    for entry in ENTRIES:
        assert re.match(r"[A-Za-z0-9._-]+==\S+ ", entry), entry
        assert re.findall(r"--hash=sha256:[0-9a-f]{64}\b", entry), entry
        assert (
            not re.sub(r"--hash=sha256:[0-9a-f]{64}\s*", "", entry.partition(" ")[2])
            .lstrip(" ;")
            .startswith("-")
        )


def test_the_lock_names_no_place_to_fetch_from() -> None:
    assert not re.search(r"://|--index|--find-links|--extra", LOCK)


def test_every_dependency_is_locked_at_a_version_it_allows() -> None:
    locked: dict[str, list[str]] = {}
    for entry in ENTRIES:
        match = re.match(r"(\S+?)==(\S+)", entry)
        assert match, entry
        name, version = match.groups()
        locked.setdefault(canonicalize_name(name), []).append(version)
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    for text in project["dependencies"]:
        wanted = Requirement(text)
        versions = locked.get(canonicalize_name(wanted.name), [])
        assert versions, f"{wanted.name} is not locked: run make lock"
        assert all(wanted.specifier.contains(version) for version in versions), wanted.name
