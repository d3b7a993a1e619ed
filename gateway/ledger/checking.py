"""Check an export: the whole tree computed anew, its signature, its time stamps, an older checkpoint against it.

Nothing of the folder is believed. It takes the memory of one tile a level, however long the ledger is.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from gateway.errors import LedgerBroken
from gateway.keys import CertificateTrust, TrustedSigner, read_stamp
from gateway.ledger.checkpoint import NOTE_BYTES_MAX, SignedCheckpoint, public_of
from gateway.ledger.entry import ENTRY_BYTES, LedgerEntry
from gateway.ledger.folder import CHECKPOINT, KEYS, STAMPS
from gateway.ledger.merkle import HASH_BYTES, Frontier, leaf_hash
from gateway.ledger.tiles import WIDTH, bundle_path, entries_of, hashes_of, tile_path, widths
from gateway.runtime import real_folders

# Longer ones are no bundle of this ledger.
_BUNDLE_BYTES_MAX = WIDTH * (2 + ENTRY_BYTES)
_TILE_BYTES_MAX = WIDTH * HASH_BYTES
_KEYS_BYTES_MAX = 1 << 20
_STAMP_BYTES_MAX = 256 << 10
# After so many the rest is not told one by one.
PROBLEMS_MAX = 50


@dataclass(kw_only=True)
class LedgerReport:
    """What a check found out.

    origin, size, root: as the checkpoint has them; None without a checkpoint that can be read.
    signer: id of the key that signed it, in hex; None when nobody did who is known.
    trusted: whether that signer is one of those that were given as trusted.
    problems: what is wrong, for people; empty when nothing is.
    remarks: what is worth knowing and not wrong.
    stamps: each {size, at, believed}: time stamps over checkpoints that this ledger went through.
    """

    origin: str | None = None
    size: int | None = None
    root: str | None = None
    signer: str | None = None
    trusted: bool = False
    problems: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    stamps: list[dict[str, Any]] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.problems

    def to_json(self) -> dict[str, Any]:
        return {"ok": self.ok} | vars(self)


@dataclass(frozen=True)
class _Older:
    """A checkpoint that must be a beginning of the ledger.

    name: what it is called in problems.
    """

    name: str
    signed: SignedCheckpoint


def check(
    folder: Path,
    *,
    signers: Iterable[TrustedSigner] | None = None,
    since: SignedCheckpoint | None = None,
    certificates: CertificateTrust | None = None,
) -> LedgerReport:
    """What is true of an export; never raises for bad ones.

    signers: who may have signed; None: whoever the export names, and the report says so.
    since: a checkpoint of the ledger that was kept elsewhere.
    certificates: authorities whose time stamps are believed; None: nobody's.

    Raises OSError when the folder can't be read for another reason than that files are missing.
    """
    return _Examiner(folder, signers, certificates).examine(since)


class _Examiner:
    def __init__(
        self, folder: Path, signers: Iterable[TrustedSigner] | None, certificates: CertificateTrust | None
    ) -> None:
        self._folder, self._certificates = folder, certificates
        self._given = signers is not None
        self._signers = tuple(signers) if signers is not None else ()
        self._report = LedgerReport()
        self._last_sealed_at: int | None = None

    def examine(self, since: SignedCheckpoint | None) -> LedgerReport:
        report = self._report
        try:
            signed = self._note(CHECKPOINT)
        except LedgerBroken as error:
            self._problem(f"checkpoint: {error}")
            return report
        now = signed.checkpoint
        report.origin, report.size, report.root = now.origin, now.size, now.root.hex()
        if not self._given:
            self._signers = self._named_signers()
            report.remarks.append("no --signers: the keys are those that the export itself names")
        signer = self._signer(signed)
        if signer is None:
            self._problem("checkpoint: not signed by any of the signers")
        else:
            report.signer, report.trusted = signer.key_id.hex(), self._given
        older = [*self._since(since, now.origin), *self._stamped()]
        roots = self._roots(now.size, {known.signed.checkpoint.size for known in older})
        if roots is not None:
            self._compare(signed, older, roots)
        if signer is not None and self._last_sealed_at is not None:
            objection = signer.validity.objection(self._last_sealed_at)
            if objection:
                self._problem(f"checkpoint: signed for entries {objection}")
        return report

    def _problem(self, text: str) -> None:
        problems = self._report.problems
        if len(problems) < PROBLEMS_MAX:
            problems.append(text)
        elif len(problems) == PROBLEMS_MAX:
            problems.append("and more")

    def _named_signers(self) -> tuple[TrustedSigner, ...]:
        signers = []
        try:
            for line in self._read(KEYS, _KEYS_BYTES_MAX).decode("utf-8", "replace").splitlines():
                signers.append(TrustedSigner(public_of(line)))
        except LedgerBroken as error:
            self._problem(f"{KEYS}: {error}")
        return tuple(signers)

    def _signer(self, signed: SignedCheckpoint) -> TrustedSigner | None:
        return next((signer for signer in self._signers if signed.signed_by(signer.public)), None)

    def _since(self, since: SignedCheckpoint | None, origin: str) -> list[_Older]:
        if since is None:
            return []
        if self._signer(since) is None:
            self._problem("the older checkpoint: not signed by any of the signers")
        if since.checkpoint.origin != origin:
            self._report.remarks.append(
                "the older checkpoint has another name; a ledger that was restored from a backup gets a new one"
            )
        return [_Older("the older checkpoint", since)]

    def _stamped(self) -> Iterator[_Older]:
        """The checkpoints that have a time stamp, each with what is wrong with it told."""
        names = sorted((self._folder / STAMPS).glob("*.tst"), key=lambda path: (len(path.stem), path.stem))
        for path in names:
            name = f"{STAMPS}/{path.name}"
            try:
                signed = self._note(f"{STAMPS}/{path.stem}.checkpoint")
                token = self._read(name, _STAMP_BYTES_MAX)
            except LedgerBroken as error:
                self._problem(f"{name}: {error}")
                continue
            stamp = read_stamp(token, signed.note, self._certificates)
            if stamp is None:
                self._problem(f"{name}: damaged, or over something else")
                continue
            if stamp.believed is False:
                self._problem(f"{name}: of nobody who is trusted")
            self._report.stamps.append(
                {"size": signed.checkpoint.size, "at": stamp.at.isoformat(), "believed": stamp.believed}
            )
            if self._signer(signed) is None:
                self._problem(f"{name}: its checkpoint is not signed by any of the signers")
            yield _Older(f"the checkpoint of {name}", signed)

    def _compare(self, signed: SignedCheckpoint, older: list[_Older], roots: dict[int, bytes]) -> None:
        now = signed.checkpoint
        if roots[now.size] != now.root:
            self._problem("checkpoint: its root is not that of the entries")
        for known in older:
            then = known.signed.checkpoint
            if then.size > now.size:
                self._problem(
                    f"{known.name} has {then.size} entries, this ledger {now.size}: entries were taken back"
                )
            elif then.size == now.size and then.root != now.root:
                self._problem(f"{known.name} is another tree of the same size: the ledger is forked")
            elif roots[then.size] != then.root:
                self._problem(f"{known.name} is of other entries: the ledger was rewritten")

    def _roots(self, size: int, others: set[int]) -> dict[int, bytes] | None:
        """The roots of the tree of that size and of smaller ones. None, and told, when entries are missing."""
        sizes = sorted({other for other in others if other < size} | {0, size})
        tree, levels = Frontier(), _Levels(self, size)
        roots = {0: tree.root()}
        for begin, end in pairwise(sizes):
            for number in range(begin // WIDTH, -(-end // WIDTH)):
                first = number * WIDTH
                try:
                    entries = self._bundle(number, min(WIDTH, size - first))
                except LedgerBroken as error:
                    self._problem(f"{error}; the rest can't be checked")
                    return None
                for place, entry in enumerate(entries[: end - first]):
                    if first + place >= begin:
                        digest = leaf_hash(entry)
                        tree.add(digest)
                        levels.add(digest)
                        self._look_at(entry, first + place)
            roots[end] = tree.root()
        levels.finish()
        return roots

    def _look_at(self, entry: bytes, index: int) -> None:
        try:
            self._last_sealed_at = LedgerEntry.decode(entry).sealed_at
        except LedgerBroken as error:
            self._problem(f"entry {index}: {error}")

    def _bundle(self, number: int, width: int) -> list[bytes]:
        name = bundle_path(number, width)
        entries = entries_of(self._read(name, _BUNDLE_BYTES_MAX), where=name)
        if len(entries) != width:
            raise LedgerBroken(f"{name}: {len(entries)} entries, and not {width}")
        return entries

    def compare_tile(self, level: int, number: int, hashes: list[bytes]) -> None:
        """Tell whether a tile is not the one of the entries."""
        name = tile_path(level, number, len(hashes))
        try:
            stored = hashes_of(self._read(name, _TILE_BYTES_MAX), where=name)
        except LedgerBroken as error:
            self._problem(str(error))
            return
        if len(stored) != len(hashes):
            self._problem(f"{name}: {len(stored)} hashes, and not {len(hashes)}")
        wrong = [
            place for place, (one, other) in enumerate(zip(stored, hashes, strict=False)) if one != other
        ]
        if wrong:
            what = "entry" if level == 0 else f"hash of level {level}"
            self._problem(f"{name}: {what} {number * WIDTH + wrong[0]} is another one ({len(wrong)} differ)")

    def _note(self, name: str) -> SignedCheckpoint:
        return SignedCheckpoint.parse(self._read(name, NOTE_BYTES_MAX))

    def _read(self, name: str, most: int) -> bytes:
        """Raises LedgerBroken when the file is missing, no regular file, or too long; OSError when the disk fails."""
        try:
            descriptor = real_folders.open_to_read(self._folder / name, below=self._folder)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENXIO, *real_folders.LINK_ERRORS):
                raise LedgerBroken(f"{name}: missing") from error
            raise
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise LedgerBroken(f"{name}: no file")
            content = file.read(most + 1)
        if len(content) > most:
            raise LedgerBroken(f"{name}: too long")
        return content


class _Levels:
    """The tiles of a growing tree, compared with the files as they get full."""

    def __init__(self, examiner: _Examiner, size: int) -> None:
        self._examiner = examiner
        self._hashes: list[list[bytes]] = [[] for _ in widths(size)]
        self._numbers = [0 for _ in self._hashes]

    def add(self, digest: bytes, level: int = 0) -> None:
        hashes = self._hashes[level]
        hashes.append(digest)
        if len(hashes) == WIDTH:
            self._examiner.compare_tile(level, self._numbers[level], hashes)
            self._numbers[level] += 1
            self._hashes[level] = []
            self.add(Frontier.of(hashes).root(), level + 1)

    def finish(self) -> None:
        for level, hashes in enumerate(self._hashes):
            if hashes:
                self._examiner.compare_tile(level, self._numbers[level], hashes)
