"""The spool on a local disk: an object is complete or absent, never half."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from blake3 import blake3

from gateway.errors import SpoolCorrupt, SpoolFull
from gateway.spool import LocalSpool, local
from tests.support.spool import file_of


def test_names_tell_nothing_and_differ_for_equal_content(tmp_path: Path) -> None:
    spool = LocalSpool(tmp_path)
    first, second = spool.put(b"same"), spool.put(b"same")
    assert first != second
    assert first[:32] != second[:32] and first[32:] == second[32:] == f"-{blake3(b'same').hexdigest()}"


def test_nothing_unfinished_is_listed(tmp_path: Path) -> None:
    spool = LocalSpool(tmp_path)
    name = spool.put(b"x")
    (tmp_path / "spool" / "tmp" / "half").write_bytes(b"...")
    assert list(spool.names()) == [name]
    assert spool.clear_drafts() == 1


def test_young_files_are_not_listed_as_old(tmp_path: Path) -> None:
    spool = LocalSpool(tmp_path)
    old, _young = spool.put(b"x"), spool.put(b"y")
    os.utime(file_of(spool, old), (0, 0))
    assert list(spool.names(older_than_s=60)) == [old]


def flip(path: Path, at: int) -> None:
    """Change one bit of a file."""
    damaged = bytearray(path.read_bytes())
    damaged[at] ^= 1
    path.write_bytes(damaged)


@pytest.mark.parametrize("at", [0, 5, -1])
def test_changed_bytes_are_never_given_out(tmp_path: Path, at: int) -> None:
    spool = LocalSpool(tmp_path)
    name = spool.put(b"head", b"body")
    flip(file_of(spool, name), at)
    with pytest.raises(SpoolCorrupt):
        spool.read(name)


def test_a_file_cut_short_is_never_given_out(tmp_path: Path) -> None:
    spool = LocalSpool(tmp_path)
    name = spool.put(b"head", b"body")
    os.truncate(file_of(spool, name), 4)
    with pytest.raises(SpoolCorrupt):
        spool.read(name)


def test_files_of_earlier_versions_whose_names_have_no_digest_are_read_as_they_are(tmp_path: Path) -> None:
    spool = LocalSpool(tmp_path)
    file_of(spool, "0a" * 16).write_bytes(b"as before")
    assert spool.read("0a" * 16) == b"as before"
    assert list(spool.names()) == ["0a" * 16]


def test_below_the_watermark_nothing_is_kept(tmp_path: Path) -> None:
    spool = LocalSpool(tmp_path, free_bytes_min=1 << 62)
    assert not spool.has_room()
    with pytest.raises(SpoolFull, match="watermark"):
        spool.put(b"x")
    assert list(spool.names()) == []


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = LocalSpool(tmp_path)

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SpoolFull, match="No space left"):
        spool.put(b"x")
    assert list((tmp_path / "spool").rglob("*.dcm")) == list((tmp_path / "spool" / "tmp").iterdir()) == []


def test_file_and_folder_are_synced_before_the_name_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = LocalSpool(tmp_path)
    real, synced = os.fsync, []

    def noting(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", noting)
    name = spool.put(b"x")
    assert synced == [name[:32], name[:2]]


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("in the way")
    with pytest.raises(SpoolFull):
        LocalSpool(tmp_path)


def test_a_spool_whose_folder_takes_no_file_is_not_writable(tmp_path: Path) -> None:
    spool = LocalSpool(tmp_path)
    assert spool.writable()
    assert list((tmp_path / "spool" / "tmp").iterdir()) == []
    (tmp_path / "spool" / "tmp").rmdir()
    assert not spool.writable()


def test_an_object_without_an_end_stops_at_the_watermark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others need the rest of the disk: the database above all."""
    spool = LocalSpool(tmp_path, free_bytes_min=1)
    draft = spool.draft()
    monkeypatch.setattr(spool, "free_bytes", lambda: 0)
    monkeypatch.setattr(local, "UNSYNCED_BYTES_MAX", 1000)
    with pytest.raises(SpoolFull, match="watermark"):
        for _ in range(2):
            draft.write(bytes(800))
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.stat().st_size]
