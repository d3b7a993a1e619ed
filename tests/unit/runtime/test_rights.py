"""What of a folder another user's program can't use is named, and a copy goes to the owner of the original."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from gateway.runtime import rights

OTHER = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "data"
    (made / "spool" / "00").mkdir(parents=True)
    (made / "queue.sqlite").touch()
    (made / "spool" / "00" / "object").touch()
    return made


def test_nothing_is_wrong_with_a_folder_of_our_own_or_none(folder: Path) -> None:
    for path in (folder, folder / "absent"):
        assert rights.unusable(path) == []
        assert rights.of_others(path) == []


@as_root
def test_what_this_user_can_not_use_is_named(folder: Path) -> None:
    with tempfile.TemporaryDirectory() as name:
        open_to_all = Path(name) / "data"
        shutil.copytree(folder, open_to_all)
        Path(name).chmod(0o755)
        open_to_all.chmod(0o777)
        os.seteuid(OTHER)
        try:
            named, hidden = rights.unusable(open_to_all), rights.unusable(folder)
        finally:
            os.seteuid(0)
    wanted = [open_to_all / part for part in ("queue.sqlite", "spool", "spool/00")]
    assert [line.split(" (root's)")[0] for line in named] == [str(path) for path in wanted]
    assert hidden == [f"{folder} can't be reached by this user"]


@as_root
def test_what_belongs_to_another_user_than_the_folder_is_named(folder: Path) -> None:
    os.chown(folder / "spool" / "00", OTHER, OTHER)
    (line,) = rights.of_others(folder)
    assert line.startswith(f"{folder / 'spool' / '00'} is ")
    assert line.endswith(f", {folder} is root's")


@as_root
def test_a_folder_is_given_to_the_owner_of_another_with_all_that_is_in_it(
    folder: Path, tmp_path: Path
) -> None:
    like = tmp_path / "like"
    like.mkdir()
    os.chown(like, OTHER, OTHER)
    rights.give(folder, like=like)
    assert {path.stat().st_uid for path in (folder, *folder.rglob("*"))} == {OTHER}
