"""What gateway.spool.contract promises, of every spool."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.errors import FileMissing, KeyFileError, SpoolCorrupt, SpoolFull
from gateway.spool import LocalSpool, Spool
from gateway.spool.cipher import SpoolKey
from gateway.spool.quarantine import Quarantine
from gateway.spool.stored import IN_MEMORY_BYTES
from tests.support.spool import file_of

KEY = SpoolKey(bytes(range(32)))
OPEN: dict[str, Callable[[Path], LocalSpool]] = {
    "local": lambda folder: LocalSpool(folder),
    "local, encrypted": lambda folder: LocalSpool(folder, key=KEY),
}


@pytest.fixture(params=sorted(OPEN))
def spool(request: pytest.FixtureRequest, tmp_path: Path) -> LocalSpool:
    return OPEN[request.param](tmp_path)


def test_the_joined_parts_are_read_back(spool: Spool) -> None:
    name = spool.put(b"head", b"", b"body")
    assert spool.read(name) == b"headbody"
    with spool.open(name) as data:
        assert (len(data), data[2:6]) == (8, b"adbo")


def test_a_large_object_is_read_in_pieces(spool: Spool) -> None:
    content = bytes(range(256)) * (IN_MEMORY_BYTES // 256) + b"end"
    with spool.open(spool.put(content)) as data:
        assert not isinstance(data, bytes)
        assert (len(data), data[-5:]) == (len(content), content[-5:])


def test_two_objects_with_one_content_have_two_names(spool: Spool) -> None:
    first, second = spool.put(b"same"), spool.put(b"same")
    assert first != second
    assert set(spool.names()) == {first, second}


def test_a_draft_is_an_object_once_it_is_kept(spool: Spool) -> None:
    draft = spool.draft()
    draft.write(b"he")
    draft.write(b"ad")
    assert list(spool.names()) == []
    with draft.open() as data:
        assert data[:] == b"head"
    name = draft.keep()
    draft.discard()
    assert list(spool.names()) == [name]
    assert spool.read(name) == b"head"


def test_a_discarded_draft_leaves_nothing(spool: Spool) -> None:
    draft = spool.draft()
    draft.write(b"half")
    draft.discard()
    draft.discard()
    with pytest.raises(SpoolFull):
        draft.write(b"more")
    assert list(spool.names()) == []
    assert spool.clear_drafts() == 0


def test_drafts_of_the_last_run_are_dropped_and_objects_stay(spool: Spool) -> None:
    name = spool.put(b"x")
    draft = spool.draft()
    draft.write(b"half")
    assert list(spool.names()) == [name]
    assert spool.clear_drafts() == 1
    assert spool.clear_drafts() == 0
    draft.discard()
    assert spool.read(name) == b"x"


def test_young_objects_are_no_old_ones(spool: Spool) -> None:
    name = spool.put(b"x")
    assert list(spool.names(older_than_s=3600)) == []
    assert list(spool.names(older_than_s=0)) == [name]


def test_removing_twice_is_no_error_and_what_is_removed_is_missing(spool: Spool) -> None:
    name, other = spool.put(b"x"), spool.put(b"y")
    spool.remove([name])
    spool.remove([name])
    for use in (spool.read, spool.size, spool.check):
        with pytest.raises(FileMissing):
            use(name)
    with pytest.raises(FileMissing), spool.open(name):
        pass
    assert list(spool.names()) == [other]


def test_the_size_is_what_an_object_takes(spool: Spool) -> None:
    name = spool.put(bytes(1000))
    assert spool.size(name) == spool.check(name) >= 1000


def test_changed_bytes_are_never_given_out(spool: LocalSpool) -> None:
    name = spool.put(b"head", b"body")
    damaged = bytearray(file_of(spool, name).read_bytes())
    damaged[-3] ^= 1
    file_of(spool, name).write_bytes(damaged)
    for use in (spool.read, spool.check):
        with pytest.raises(SpoolCorrupt):
            use(name)
    with pytest.raises(SpoolCorrupt), spool.open(name):
        pass


def test_quarantined_bytes_stay_when_the_object_is_removed(spool: Spool, tmp_path: Path) -> None:
    name = spool.put(b"odd")
    spool.quarantine(name)
    spool.quarantine(name)
    spool.remove([name])
    quarantine = Quarantine(tmp_path, key=KEY)
    (entry,) = quarantine.entries()
    assert (entry.id, quarantine.read(entry)) == (name, b"odd")
    with pytest.raises(SpoolFull):
        spool.quarantine(spool.put(b"x")[::-1])


def test_several_threads_put_at_once(spool: Spool) -> None:
    named: dict[str, bytes] = {}

    def put(number: int) -> None:
        for turn in range(10):
            content = b"%d-%d" % (number, turn)
            named[spool.put(content)] = content

    threads = [threading.Thread(target=put, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(named) == 40
    assert {name: spool.read(name) for name in spool.names()} == named


def test_a_spool_that_is_opened_again_has_its_objects(spool: Spool, tmp_path: Path) -> None:
    name = spool.put(b"x")
    assert LocalSpool(tmp_path, key=KEY).read(name) == b"x"
    assert spool.has_room() and spool.writable() and spool.free_bytes() > 0


def test_without_the_key_nothing_is_read(tmp_path: Path) -> None:
    name = LocalSpool(tmp_path, key=KEY).put(b"x")
    with pytest.raises(KeyFileError):
        LocalSpool(tmp_path).read(name)
    assert LocalSpool(tmp_path).check(name) > 0
