"""Exports: a good one checks, and each kind of forgery is found and named."""

from __future__ import annotations

import os
import shutil
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.errors import LedgerBroken, UsageError
from gateway.keys import Signer, TrustedSigner, Validity
from gateway.keys.roles import HeldSigningKey
from gateway.ledger.checking import LedgerReport, check
from gateway.ledger.checkpoint import Checkpoint, SignedCheckpoint, sign, verifier_key
from gateway.ledger.exporting import export
from gateway.ledger.folder import LedgerFolder
from gateway.ledger.tiles import bundle, bundle_path, entries_of, tile_path
from tests.support.ledgers import add, entry, mth
from tests.unit.ledger.conftest import Grown

Forgery = Callable[[Path], object]
# Two full tiles, one of them at the end of level 0, and a partial one.
SIZE = 600


def exported(ledger: Path, name: str = "export") -> Path:
    target = ledger.parent / name
    export(LedgerFolder(ledger), target)
    return target


def problems(folder: Path, signers: list[TrustedSigner], since: SignedCheckpoint | None = None) -> str:
    return "\n".join(check(folder, signers=signers, since=since).problems)


def noted(folder: Path) -> SignedCheckpoint:
    return SignedCheckpoint.parse((folder / "checkpoint").read_bytes())


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 512, 600])
def test_a_good_export_has_nothing_wrong(grown: Grown, signers: list[TrustedSigner], size: int) -> None:
    report = check(exported(grown(size)), signers=signers)
    assert (report.problems, report.size, report.trusted) == ([], size, True)
    assert report.root == mth([entry(number) for number in range(size)]).hex()


def test_it_has_the_files_of_the_standard_and_no_others(grown: Grown) -> None:
    folder = exported(grown(SIZE))
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    signer = next(name for name in names if name.startswith("signers/"))
    assert names - {signer} == {
        "LEDGER.md", "checkpoint", "keys", "tile/entries/000", "tile/entries/001", "tile/entries/002.p/88",
        "tile/0/000", "tile/0/001", "tile/0/002.p/88", "tile/1/000.p/2",
    }  # fmt: skip


def test_without_trusted_signers_the_report_says_whose_word_it_took(grown: Grown) -> None:
    report = check(exported(grown(3)))
    assert (report.ok, report.trusted) == (True, False)
    assert "no --signers" in report.remarks[0]


def change_leaf(folder: Path) -> None:
    _change(folder, bundle_path(1), lambda entries: [*entries[:9], entry(9999), *entries[10:]])


def drop_leaf(folder: Path) -> None:
    _change(folder, bundle_path(1), lambda entries: entries[:-1])


def reorder(folder: Path) -> None:
    _change(folder, bundle_path(0), lambda entries: [entries[1], entries[0], *entries[2:]])


def change_leaf_and_its_tile(folder: Path) -> None:
    change_leaf(folder)
    path = folder / tile_path(0, 1)
    from gateway.ledger.merkle import leaf_hash

    content = bytearray(path.read_bytes())
    content[9 * 32 : 10 * 32] = leaf_hash(entry(9999))
    path.write_bytes(content)


def change_tile(folder: Path) -> None:
    path = folder / tile_path(1, 0, 2)
    path.write_bytes(path.read_bytes()[:-1] + b"\0")


def cut_tile(folder: Path) -> None:
    path = folder / tile_path(0, 2, 88)
    path.write_bytes(path.read_bytes()[:-32])


def unknown_entry(folder: Path) -> None:
    _change(folder, bundle_path(0), lambda entries: [b"\x02" + entries[0][1:], *entries[1:]])


def another_size(folder: Path) -> None:
    note = (folder / "checkpoint").read_bytes()
    (folder / "checkpoint").write_bytes(note.replace(b"\n600\n", b"\n512\n"))


def fifo(folder: Path) -> None:
    (folder / "tile/0/000").unlink()
    os.mkfifo(folder / "tile/0/000")


def linked(folder: Path) -> None:
    (folder / "tile/0/000").unlink()
    (folder / "tile/0/000").symlink_to("/dev/zero")


def endless(folder: Path) -> None:
    (folder / "tile/entries/000").write_bytes(bytes(1 << 20))


def _change(folder: Path, name: str, change: Callable[[list[bytes]], list[bytes]]) -> None:
    path = folder / name
    path.write_bytes(bundle(change(entries_of(path.read_bytes(), where=name))))


@pytest.mark.parametrize(
    ("forge", "says"),
    [
        (change_leaf, "tile/0/001: entry 265 is another one"),
        (change_leaf, "its root is not that of the entries"),
        (drop_leaf, "tile/entries/001: 255 entries, and not 256"),
        (reorder, "tile/0/000: entry 0 is another one (2 differ)"),
        (change_leaf_and_its_tile, "tile/1/000.p/2: hash of level 1 1 is another one"),
        (change_leaf_and_its_tile, "its root is not that of the entries"),
        (change_tile, "tile/1/000.p/2"),
        (cut_tile, "tile/0/002.p/88: 87 hashes, and not 88"),
        (unknown_entry, "entry 0: an entry has an unknown version"),
        (another_size, "checkpoint: not signed by any of the signers"),
        (lambda folder: (folder / "checkpoint").unlink(), "checkpoint: missing"),
        (lambda folder: (folder / "tile/0/000").unlink(), "tile/0/000: missing"),
        (lambda folder: (folder / "tile/entries/000").unlink(), "tile/entries/000: missing"),
        (lambda folder: (folder / "checkpoint").write_bytes(b"x" * 99_999), "checkpoint: too long"),
        (fifo, "tile/0/000: no file"),
        (linked, "tile/0/000: missing"),
        (endless, "tile/entries/000: too long"),
    ],
)
def test_a_forged_export_is_found_and_named(
    grown: Grown, signers: list[TrustedSigner], forge: Forgery, says: str
) -> None:
    folder = exported(grown(SIZE))
    forge(folder)
    assert says in problems(folder, signers)


def test_one_signed_with_another_key_is_found_although_it_names_that_key(
    tmp_path: Path, signers: list[TrustedSigner]
) -> None:
    stranger = Signer(HeldSigningKey(Ed25519PrivateKey.generate()))
    folder = exported(add(tmp_path / "ledger", 5, stranger))
    assert check(folder).ok
    assert problems(folder, signers) == "checkpoint: not signed by any of the signers"


def test_a_longer_ledger_goes_on_from_an_older_checkpoint(grown: Grown, signers: list[TrustedSigner]) -> None:
    older = noted(exported(grown(300), "older"))
    assert problems(exported(grown(300)), signers, since=older) == ""


@pytest.mark.parametrize("kept", [0, 1, 255, 256, 299])
def test_a_ledger_that_was_taken_back_is_found(
    grown: Grown, tmp_path: Path, signers: list[TrustedSigner], kept: int
) -> None:
    older = noted(exported(grown(300), "older"))
    shutil.rmtree(tmp_path / "ledger")
    assert "300 entries, this ledger" in problems(exported(grown(kept)), signers, since=older)


def forked(tmp_path: Path, signer: Signer, origin: str, size: int) -> Path:
    """An export of the same name with other entries, as the holder of the key can make it."""
    ledger = tmp_path / "fork"
    ledger.mkdir()
    (ledger / "origin").write_text(origin + "\n")
    from gateway.ledger.writing import LedgerWriter

    writer = LedgerWriter(ledger, gateway_id="gateway")
    writer.append([entry(number + 7000) for number in range(size)])
    due = writer.due()
    assert due is not None
    writer.keep(sign(due.text, signer), verifier_key(due.origin, signer.public))
    writer.close()
    return exported(ledger, "forked")


def test_two_trees_of_one_size_are_found(
    grown: Grown, tmp_path: Path, ledger_signer: Signer, signers: list[TrustedSigner]
) -> None:
    older = noted(exported(grown(20)))
    other = forked(tmp_path, ledger_signer, older.checkpoint.origin, 20)
    assert "another tree of the same size: the ledger is forked" in problems(other, signers, since=older)


def test_a_ledger_that_was_written_anew_and_is_longer_is_found(
    grown: Grown, tmp_path: Path, ledger_signer: Signer, signers: list[TrustedSigner]
) -> None:
    older = noted(exported(grown(20)))
    other = forked(tmp_path, ledger_signer, older.checkpoint.origin, 30)
    assert "of other entries: the ledger was rewritten" in problems(other, signers, since=older)


def test_an_older_checkpoint_of_a_stranger_is_not_believed(
    grown: Grown, signers: list[TrustedSigner]
) -> None:
    folder = exported(grown(20))
    stranger = Signer(HeldSigningKey(Ed25519PrivateKey.generate()))
    older = SignedCheckpoint.parse(sign(noted(folder).checkpoint.text, stranger))
    assert problems(folder, signers, since=older) == "the older checkpoint: not signed by any of the signers"


def test_entries_of_a_signer_after_it_was_revoked_are_a_problem(grown: Grown, ledger_signer: Signer) -> None:
    folder = exported(grown(20))
    revoked = TrustedSigner(ledger_signer.public, Validity(revoked_at=1_700_000_019, reason="stolen"))
    assert "after the signer was revoked" in problems(folder, [revoked])
    later = TrustedSigner(ledger_signer.public, Validity(revoked_at=1_700_000_020))
    assert problems(folder, [later]) == ""


def test_a_checkpoint_of_an_impossible_size_takes_no_time(grown: Grown, ledger_signer: Signer) -> None:
    folder = exported(grown(3))
    origin = noted(folder).checkpoint.origin
    huge = sign(Checkpoint(origin, 10**18, bytes(32)).text, ledger_signer)
    (folder / "checkpoint").write_bytes(huge)
    assert check(folder).problems == ["tile/entries/000: missing; the rest can't be checked"]


def test_many_problems_are_not_told_one_by_one(grown: Grown) -> None:
    folder = exported(grown(SIZE))
    for number in range(2):
        _change(folder, bundle_path(number), lambda entries: [b"\x02" + entry[1:] for entry in entries])
    report: LedgerReport = check(folder)
    assert (len(report.problems), report.problems[-1]) == (51, "and more")


def test_an_export_goes_to_a_new_folder_only(grown: Grown) -> None:
    ledger = grown(3)
    exported(ledger)
    with pytest.raises(UsageError, match="exists"):
        exported(ledger)


def test_a_damaged_ledger_gives_no_export_and_no_half_one(grown: Grown) -> None:
    ledger = grown(SIZE)
    (ledger / bundle_path(1)).unlink()
    with pytest.raises(LedgerBroken):
        exported(ledger)
    assert [path.name for path in ledger.parent.iterdir()] == ["ledger"]


def test_a_longer_ledger_takes_no_more_memory_to_check(
    grown: Grown, signers: list[TrustedSigner], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)
    monkeypatch.setattr(os, "fdatasync", lambda _: None)
    peaks = []
    for name, size in (("short", 1_000), ("long", 12_000)):
        folder = exported(grown(size, name), f"export-{name}")
        tracemalloc.start()
        assert check(folder, signers=signers).ok
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 100_000, peaks


def test_a_new_signer_goes_on_with_the_ledger_of_the_one_before(
    grown: Grown, tmp_path: Path, ledger_signer: Signer
) -> None:
    older = noted(exported(grown(5), "older"))
    successor = Signer(HeldSigningKey(Ed25519PrivateKey.generate()))
    folder = exported(add(tmp_path / "ledger", 5, successor))
    both = [TrustedSigner(ledger_signer.public), TrustedSigner(successor.public)]
    assert problems(folder, both, older) == ""
    assert problems(folder, both[1:]) == ""
    assert problems(folder, both[1:], older) == "the older checkpoint: not signed by any of the signers"
    assert problems(folder, both[:1]) == "checkpoint: not signed by any of the signers"
    names = {path.stem for path in (folder / "signers").iterdir()}
    assert names == {signer.key_id.hex() for signer in both}
