"""Encrypted spool files: every part can be read alone, none can be changed, moved or cut off."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import KeyFileError, SpoolCorrupt
from gateway.spool.cipher import (
    CHUNK_BYTES,
    HEADER_BYTES,
    TAG_BYTES,
    DecryptedSource,
    EncryptingWriter,
    SpoolKey,
    write_spool_key,
)

KEY = SpoolKey(bytes(range(32)))
EDGES = [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES, 3 * CHUNK_BYTES + 7]


def content(length: int) -> bytes:
    return bytes(i * i % 251 for i in range(length))


def encrypted(*parts: bytes) -> bytes:
    writer = EncryptingWriter(KEY)
    return b"".join(writer.update(part) for part in parts) + writer.final()


@pytest.mark.parametrize("length", EDGES)
def test_what_was_written_is_read(length: int) -> None:
    clear = content(length)
    stored = encrypted(clear)
    assert DecryptedSource(stored, KEY)[:] == clear
    assert len(DecryptedSource(stored, KEY)) == length
    DecryptedSource(stored, KEY).verify_end()
    assert clear[:64] not in stored or length < 16


@settings(deadline=None)
@given(
    parts=st.lists(st.integers(0, 3 * CHUNK_BYTES), max_size=5),
    start=st.integers(-5, 9 * CHUNK_BYTES),
    stop=st.integers(-5, 9 * CHUNK_BYTES),
)
def test_any_slice_is_that_of_the_clear_bytes_however_they_were_written(
    parts: list[int], start: int, stop: int
) -> None:
    clear = content(sum(parts))
    at, pieces = 0, []
    for length in parts:
        pieces.append(clear[at : at + length])
        at += length
    assert DecryptedSource(encrypted(*pieces), KEY)[start:stop] == clear[start:stop]


def test_two_files_with_one_content_have_nothing_in_common() -> None:
    a, b = encrypted(content(1000)), encrypted(content(1000))
    assert a[16:48] != b[16:48]
    assert a[48:] != b[48:]


@settings(deadline=None)
@given(st.integers(0, len(encrypted(content(2 * CHUNK_BYTES + 5))) - 1), st.integers(1, 255))
def test_no_byte_can_be_changed_unnoticed(at: int, change: int) -> None:
    stored = bytearray(encrypted(content(2 * CHUNK_BYTES + 5)))
    stored[at] ^= change
    with pytest.raises(SpoolCorrupt):
        DecryptedSource(bytes(stored), KEY)[:]


def test_chunks_can_not_be_cut_off_or_moved() -> None:
    whole = CHUNK_BYTES + TAG_BYTES
    stored = encrypted(content(3 * CHUNK_BYTES))
    with pytest.raises(SpoolCorrupt):
        DecryptedSource(stored[:-whole], KEY).verify_end()
    first, second = stored[HEADER_BYTES : HEADER_BYTES + whole], stored[HEADER_BYTES + whole :][:whole]
    with pytest.raises(SpoolCorrupt):
        DecryptedSource(stored[:HEADER_BYTES] + second + first + stored[HEADER_BYTES + 2 * whole :], KEY)[:]


def test_another_key_reads_nothing() -> None:
    with pytest.raises(SpoolCorrupt):
        DecryptedSource(encrypted(content(10)), SpoolKey(bytes(32)))[:]


def test_a_key_file_is_for_its_owner_only_and_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "spool.key"
    write_spool_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert repr(SpoolKey.load(path)) == "SpoolKey(...)"
    with pytest.raises(KeyFileError, match="exists already"):
        write_spool_key(path)
    path.chmod(0o640)
    with pytest.raises(KeyFileError, match="open to group"):
        SpoolKey.load(path)


@pytest.mark.parametrize("text", ["", "00", "zz" * 32, "00" * 31, "00" * 33])
def test_a_file_that_is_no_key_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "spool.key"
    path.touch(0o600)
    path.write_text(text)
    with pytest.raises(KeyFileError, match="is not a key of a spool"):
        SpoolKey.load(path)
