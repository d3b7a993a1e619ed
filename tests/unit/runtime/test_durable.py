"""Files that are written durably: whole or absent, synced before the caller goes on, never in the place of another."""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.runtime import durable

Writer = Callable[..., object]
WRITERS = pytest.mark.parametrize("write", [durable.replace, durable.create, durable.create_at_once])


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """(system call, name of its file) of each sync, link and rename."""
    noted: list[tuple[str, str]] = []
    fsync, link, replace = os.fsync, os.link, Path.replace

    def noting_fsync(descriptor: int) -> None:
        noted.append(("fsync", Path(f"/proc/self/fd/{descriptor}").readlink().name))
        fsync(descriptor)

    def noting_link(source: Path, target: Path) -> None:
        link(source, target)
        noted.append(("name", target.name))

    def noting_replace(source: Path, target: Path) -> Path:
        noted.append(("name", target.name))
        return replace(source, target)

    monkeypatch.setattr(os, "fsync", noting_fsync)
    monkeypatch.setattr(os, "link", noting_link)
    monkeypatch.setattr(Path, "replace", noting_replace)
    return noted


@WRITERS
def test_all_parts_are_in_the_file_and_nothing_else_is_left(tmp_path: Path, write: Writer) -> None:
    write(tmp_path / "target", iter([b"a", b"", b"bc"]), mode=0o600)
    assert (tmp_path / "target").read_bytes() == b"abc"
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


@WRITERS
@pytest.mark.parametrize(("mode", "seen"), [(0o600, 0o600), (0o666, 0o640)])
def test_the_mode_is_what_the_umask_leaves_of_it(tmp_path: Path, write: Writer, mode: int, seen: int) -> None:
    umask = os.umask(0o027)
    try:
        write(tmp_path / "target", [b"x"], mode=mode)
    finally:
        os.umask(umask)
    assert stat.S_IMODE((tmp_path / "target").stat().st_mode) == seen


@pytest.mark.parametrize("write", [durable.replace, durable.create_at_once])
def test_bytes_are_synced_before_the_name_is_there_and_the_folder_after(
    tmp_path: Path, write: Writer, calls: list[tuple[str, str]]
) -> None:
    write(tmp_path / "target", [b"x"], mode=0o600)
    (first, temporary), *rest = calls
    assert (first, temporary[-5:]) == ("fsync", ".part")
    assert rest == [("name", "target"), ("fsync", tmp_path.name)]


def test_a_file_that_is_created_in_its_place_is_synced_and_so_is_its_folder(
    tmp_path: Path, calls: list[tuple[str, str]]
) -> None:
    durable.create(tmp_path / "target", [b"x"], mode=0o600)
    assert calls == [("fsync", "target"), ("fsync", tmp_path.name)]


def test_an_existing_file_is_replaced_only_where_the_caller_asked_for_it(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"old")
    with pytest.raises(FileExistsError):
        durable.create(target, [b"new"], mode=0o600)
    assert durable.create_at_once(target, [b"new"], mode=0o600) is False
    assert target.read_bytes() == b"old"
    durable.replace(target, [b"new"], mode=0o600)
    assert target.read_bytes() == b"new"
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


def test_of_several_writers_at_once_one_wins(tmp_path: Path) -> None:
    target, created = tmp_path / "target", []

    def write(number: int) -> None:
        if durable.create_at_once(target, [bytes([number]) * 100], mode=0o600):
            created.append(number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = created
    assert target.read_bytes() == bytes([winner]) * 100
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


@WRITERS
def test_a_failure_leaves_nothing_behind(
    tmp_path: Path, write: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write(tmp_path / "target", [b"x"], mode=0o600)
    assert list(tmp_path.iterdir()) == []


@WRITERS
def test_nor_do_parts_that_cannot_be_read(tmp_path: Path, write: Writer) -> None:
    def parts() -> Iterator[bytes]:
        yield b"half"
        raise RuntimeError("the rest is gone")

    with pytest.raises(RuntimeError):
        write(tmp_path / "target", parts(), mode=0o600)
    assert list(tmp_path.iterdir()) == []


@WRITERS
def test_a_disk_that_cannot_sync_folders_takes_files(
    tmp_path: Path, write: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fsync

    def files_only(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", files_only)
    write(tmp_path / "target", [b"x"], mode=0o600)
    assert (tmp_path / "target").read_bytes() == b"x"
    with pytest.raises(OSError, match="Invalid argument"):
        durable.rename(tmp_path / "target", tmp_path / "renamed")


def test_a_second_name_is_for_the_same_bytes_and_replaces_nothing(
    tmp_path: Path, calls: list[tuple[str, str]]
) -> None:
    (tmp_path / "first").write_bytes(b"x")
    assert durable.link(tmp_path / "first", tmp_path / "second") is True
    assert calls == [("name", "second"), ("fsync", tmp_path.name)]
    (tmp_path / "other").write_bytes(b"y")
    assert durable.link(tmp_path / "other", tmp_path / "second") is False
    assert (tmp_path / "second").read_bytes() == b"x"


def test_what_the_system_takes_bit_by_bit_is_written_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, data[:3]))
    with (tmp_path / "file").open("wb") as file:
        durable.write_all(file.fileno(), b"0123456789")
    assert (tmp_path / "file").read_bytes() == b"0123456789"


def test_a_tree_is_synced_with_all_its_files_and_folders(
    tmp_path: Path, calls: list[tuple[str, str]]
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").touch()
    durable.sync_tree(tmp_path)
    assert {name for _, name in calls} == {tmp_path.name, "folder", "file"}


def test_what_a_killed_process_left_unfinished_is_removed_and_nothing_else(tmp_path: Path) -> None:
    durable.replace(tmp_path / "target", [b"x"], mode=0o600)
    (tmp_path / ".sealgate-0123456789abcdef.part").write_bytes(b"half")
    (tmp_path / ".other").write_bytes(b"x")
    durable.remove_unfinished(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".other", "target"]
