"""Ledgers for tests, and a second implementation of RFC 6962 2.1 as the RFC writes it: slow, and by recursion."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from gateway.keys import Signer
from gateway.ledger.checkpoint import sign, verifier_key
from gateway.ledger.entry import LedgerEntry
from gateway.ledger.writing import BATCH_MAX, LedgerWriter


def entry(number: int, *, series: int = 1, study: int = 1, instance: int | None = None) -> bytes:
    """The entry of an instance; the same for the same numbers."""
    return LedgerEntry(
        level="full" if number % 2 else "digest",
        sealed_at=1_700_000_000 + number,
        signer_id=b"signerid",
        digest=hashlib.sha256(b"digest %d" % number).digest(),
        statement=hashlib.sha256(b"statement %d" % number).digest(),
        instance=(number if instance is None else instance).to_bytes(8, "big"),
        series=series.to_bytes(8, "big"),
        study=study.to_bytes(8, "big"),
    ).encode()


def add(folder: Path, count: int, signer: Signer) -> Path:
    """Add so many entries to a ledger, which is made where there is none, and sign it. Returns the folder."""
    writer = LedgerWriter(folder, gateway_id="gateway")
    for begin in range(writer.size, end := writer.size + count, BATCH_MAX):
        writer.append([entry(number) for number in range(begin, min(end, begin + BATCH_MAX))])
    sign_now(writer, signer)
    writer.close()
    return folder


def sign_now(writer: LedgerWriter, signer: Signer) -> None:
    due = writer.due()
    if due is not None:
        writer.keep(sign(due.text, signer), verifier_key(due.origin, signer.public))


def mth(entries: Sequence[bytes]) -> bytes:
    """RFC 6962 2.1, word by word."""
    n = len(entries)
    if n == 0:
        return hashlib.sha256(b"").digest()
    if n == 1:
        return hashlib.sha256(b"\x00" + entries[0]).digest()
    k = 1
    while k * 2 < n:
        k *= 2
    return hashlib.sha256(b"\x01" + mth(entries[:k]) + mth(entries[k:])).digest()


def path(m: int, entries: Sequence[bytes]) -> list[bytes]:
    """RFC 6962 2.1.1: the audit path of entry m."""
    n = len(entries)
    if n == 1:
        return []
    k = 1
    while k * 2 < n:
        k *= 2
    if m < k:
        return [*path(m, entries[:k]), mth(entries[k:])]
    return [*path(m - k, entries[k:]), mth(entries[:k])]
