"""What the ledger says of instances, series and studies. One pass over its entries answers for many of them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from gateway.errors import LedgerBroken
from gateway.ledger.entry import INSTANCE_AT, SERIES_AT, STUDY_AT, LedgerEntry
from gateway.ledger.folder import LedgerFolder
from gateway.ledger.merkle import Frontier, leaf_hash


@dataclass(frozen=True)
class Logged:
    """An entry and its place.

    index: from 0.
    """

    index: int
    entry: LedgerEntry


def find(
    ledger: LedgerFolder,
    *,
    instances: Collection[bytes] = (),
    series: Collection[bytes] = (),
    studies: Collection[bytes] = (),
) -> Iterator[Logged]:
    """The entries of these instances, series and studies, by their pseudonyms of 8 bytes, in their order.

    Those that were written but not signed yet are among them. The tree is computed on the way.

    Raises LedgerBroken, also at the end, when the entries are not those that were signed.
    Raises ResourceError when the disk fails.
    """
    signed = ledger.checkpoint()
    size = signed.checkpoint.size if signed else 0
    # The last entries first: bundles only get more.
    end = ledger.open_bundle().end
    tree = Frontier()
    for index, entry in enumerate(ledger.entries(stop=end)):
        if index < size:
            tree.add(leaf_hash(entry))
        if entry[INSTANCE_AT] in instances or entry[SERIES_AT] in series or entry[STUDY_AT] in studies:
            yield Logged(index, LedgerEntry.decode(entry))
    if signed is not None and tree.root() != signed.checkpoint.root:
        raise LedgerBroken("the entries of the ledger are not those that were signed")
