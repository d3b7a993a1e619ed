"""Adding to the ledger: in any batches, after kill -9 and power cuts at any step, on a disk that fails."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import LedgerBroken, ResourceError
from gateway.keys import Signer
from gateway.ledger.checkpoint import sign, verifier_key
from gateway.ledger.folder import LedgerFolder
from gateway.ledger.tiles import bundle_path, tile_path
from gateway.ledger.writing import LedgerWriter, keep_stamp
from tests.support.killing import killed_at
from tests.support.ledgers import add, entry, mth, sign_now
from tests.support.power_cut import COMMAND, Disk, calls, outcomes
from tests.unit.ledger.conftest import Grown

# Killed at each step on its way: it crosses the end of a bundle, twice, and signs.
BATCHES = (100, 156, 250, 9)
SIZE = sum(BATCHES)


def opened(folder: Path) -> LedgerWriter:
    return LedgerWriter(folder, gateway_id="gateway")


def held(folder: Path) -> list[bytes]:
    ledger = LedgerFolder(folder)
    return list(ledger.entries(stop=ledger.open_bundle().end))


def expected(size: int) -> list[bytes]:
    return [entry(number) for number in range(size)]


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(1, 256), max_size=5))
def test_batches_of_any_size_give_the_same_tree(
    tmp_path_factory: pytest.TempPathFactory, batches: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("any") / "ledger"
    for batch in batches:
        writer = opened(folder)
        writer.append([entry(writer.size + number) for number in range(batch)])
        writer.close()
    writer = opened(folder)
    due = writer.due()
    assert due is not None and (due.size, due.root) == (sum(batches), mth(expected(sum(batches))))
    assert held(folder) == expected(sum(batches))
    writer.close()


def test_the_name_stays_and_is_of_this_ledger_alone(tmp_path: Path, ledger_signer: Signer) -> None:
    names = set()
    for name in ("one", "one", "two"):
        add(tmp_path / name, 1, ledger_signer)
        names.add(LedgerFolder(tmp_path / name).origin())
    assert len(names) == 2


def test_a_copy_without_its_name_goes_on_under_a_new_one(grown: Grown) -> None:
    """A backup leaves the name out: two trees of one size and one name must never be signed."""
    folder = grown(5)
    before = LedgerFolder(folder).checkpoint()
    (folder / "origin").unlink()
    after = LedgerFolder(grown(0)).checkpoint()
    assert before is not None and after is not None
    assert after.checkpoint.origin != before.checkpoint.origin
    assert (after.checkpoint.size, after.checkpoint.root) == (before.checkpoint.size, before.checkpoint.root)


def test_nothing_new_is_not_signed_again(grown: Grown) -> None:
    writer = opened(grown(5))
    assert writer.due() is None
    writer.append([entry(5)])
    assert writer.due() is not None
    writer.close()


def test_what_was_signed_is_looked_at_before_it_counts(tmp_path: Path, ledger_signer: Signer) -> None:
    writer = opened(tmp_path / "ledger")
    due = writer.due()
    assert due is not None
    note, key = sign(due.text, ledger_signer), verifier_key(due.origin, ledger_signer.public)
    writer.append([entry(0)])
    with pytest.raises(LedgerBroken, match="another checkpoint"):
        writer.keep(note, key)
    writer.close()


def test_the_last_entries_are_known_again_also_after_a_restart(grown: Grown) -> None:
    writer = opened(grown(1300))
    assert all(writer.has(entry(number)) for number in range(1300 - 1024, 1300))
    assert not writer.has(entry(1300))
    writer.close()


@pytest.mark.parametrize(
    "harm",
    [
        lambda folder: (folder / "open").unlink(),
        lambda folder: (folder / "open").write_bytes(b""),
        lambda folder: (folder / "open").write_bytes((folder / "open").read_bytes()[:-1]),
        lambda folder: (folder / tile_path(0, 1)).write_bytes(bytes(8192)),
        lambda folder: (folder / "checkpoint").write_bytes(b"x"),
        lambda folder: shutil.rmtree(folder / "tile"),
    ],
    ids=["open lost", "open empty", "open cut", "tile changed", "checkpoint changed", "tiles lost"],
)
def test_a_ledger_that_is_not_what_was_signed_is_neither_written_nor_signed(
    grown: Grown, harm: Callable[[Path], object]
) -> None:
    folder = grown(600)
    harm(folder)
    with pytest.raises(LedgerBroken):
        opened(folder)


def test_a_lost_tile_of_hashes_is_computed_from_its_entries(grown: Grown) -> None:
    folder = grown(600)
    (folder / tile_path(0, 0)).unlink()
    writer = opened(folder)
    assert writer.size == 600
    writer.close()


def test_what_a_crash_left_half_written_behind_the_last_entry_is_forgotten(grown: Grown) -> None:
    folder = grown(5)
    with (folder / "open").open("ab") as file:
        file.write(b"\0\x6a" + bytes(50))
    writer = opened(folder)
    writer.append([entry(5)])
    writer.close()
    assert held(folder) == expected(6)


def test_a_full_disk_costs_nothing_that_was_added(
    tmp_path: Path, ledger_signer: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, write = opened(tmp_path / "ledger"), os.write
    writer.append(expected(3))
    sign_now(writer, ledger_signer)

    def full(descriptor: int, data: bytes) -> int:
        if Path(f"/proc/self/fd/{descriptor}").readlink().name == "open":
            write(descriptor, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(descriptor, data)

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        with pytest.raises(ResourceError, match="No space left"):
            writer.append(expected(5)[3:])
    writer = opened(tmp_path / "ledger")
    writer.append([one for one in expected(5) if not writer.has(one)])
    writer.close()
    assert held(tmp_path / "ledger") == expected(5)


# What the killed process does: after each promise it writes a line to its standard output.
SCRIPT = """
import os, sys
from itertools import accumulate
from pathlib import Path
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from gateway.keys import Signer
from gateway.keys.roles import HeldSigningKey
from gateway.ledger.writing import LedgerWriter
from tests.support.ledgers import entry, sign_now

folder, batches = Path(sys.argv[1]), [int(text) for text in sys.argv[2].split(",")]
signer = Signer(HeldSigningKey(Ed25519PrivateKey.from_private_bytes(bytes(range(32)))))
writer = LedgerWriter(folder, gateway_id="gateway")
for batch in batches:
    writer.append([entry(writer.size + number) for number in range(batch)])
    os.write(1, b"added %d\\n" % writer.size)
    sign_now(writer, signer)
    os.write(1, b"signed %s\\n" % writer.signed.checkpoint.text.replace(b"\\n", b" "))
writer.close()
"""


def test_a_power_cut_at_any_moment_loses_nothing_doubles_nothing_and_contradicts_no_checkpoint(
    tmp_path: Path, ledger_signer: Signer
) -> None:
    """The system calls of a process, replayed on a disk that keeps what was synced, and of the rest any part."""
    trace, folder = tmp_path / "calls.txt", tmp_path / "data" / "ledger"
    batches = ",".join(map(str, BATCHES))
    run = [*COMMAND, "-o", str(trace), sys.executable, "-c", SCRIPT, str(folder), batches]
    subprocess.run(run, check=True, capture_output=True)
    disk, added, signed, states = Disk(folder), 0, dict[int, bytes](), 0
    for number, call in enumerate(calls(trace)):
        before = call.paths and str(folder) in call.paths[0]
        disk.apply(call)
        told = b"".join(call.texts) if call.name == "write" else b""
        if told.startswith(b"added "):
            added = int(told.split()[1])
        elif told.startswith(b"signed "):
            signed[int(told.split()[2])] = told.split()[3]
        if not (before or told):
            continue
        for how, persists in outcomes(number).items():
            found = tmp_path / "found" / "ledger"
            disk.write_out(found, persists)
            if found.exists() and any(found.iterdir()):
                where = f"after call {number} when {how} unsafe is there"
                _goes_on(found, added, where, ledger_signer)
                states += 1
                shutil.rmtree(found)
    assert (added, sorted(signed)[-1]) == (SIZE, SIZE)
    assert states > 100
    print(f"power cut: {states} states of the disk")


def _goes_on(folder: Path, added: int, where: str, signer: Signer) -> None:
    """Opened after a crash: everything promised is there, once and in its place, and what is added then, too."""
    writer = opened(folder)
    size = writer.size
    assert size >= added, where
    assert held(folder) == expected(size), where
    writer.append([entry(size), entry(size + 1)])
    sign_now(writer, signer)
    assert writer.signed is not None
    assert not list(folder.glob(".*")), where
    # All entries are those of the one true ledger; so no checkpoint can contradict another one.
    assert writer.signed.checkpoint.root == mth(expected(size + 2)), where
    writer.close()


def test_killed_at_any_step_it_goes_on_where_it_was(tmp_path: Path, ledger_signer: Signer) -> None:
    for step in count():
        folder, told = tmp_path / str(step), tmp_path / f"{step}.told"

        def add_and_sign(_: object, folder: Path = folder, told: Path = told) -> None:
            writer = opened(folder)
            for batch in BATCHES:
                writer.append([entry(writer.size + number) for number in range(batch)])
                told.write_text(str(writer.size))
                sign_now(writer, ledger_signer)

        if not killed_at(step, add_and_sign):
            assert held(folder) == expected(SIZE)
            break
        if folder.exists():
            _goes_on(folder, int(told.read_text()) if told.exists() else 0, f"step {step}", ledger_signer)
    assert step > 40
    print(f"kill -9: {step} steps")


def test_a_stamp_lies_beside_what_it_stamps(grown: Grown) -> None:
    folder = grown(5)
    signed = LedgerFolder(folder).checkpoint()
    assert signed is not None
    keep_stamp(folder, signed, b"token")
    assert LedgerFolder(folder).stamps() == [5]
    assert (folder / "stamps" / "5.checkpoint").read_bytes() == signed.note
    last = LedgerFolder(folder).last_stamp()
    assert last is not None and last.size == 5


def test_files_and_folders_are_their_owners_alone(grown: Grown) -> None:
    folder = grown(300)
    for path in (folder, *folder.rglob("*")):
        assert path.stat().st_mode & 0o077 == 0, path
    assert (folder / bundle_path(0)).is_file()
