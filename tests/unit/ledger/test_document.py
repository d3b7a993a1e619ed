"""LEDGER.md is enough: a second reader, which knows nothing else, comes to the same entries."""

from __future__ import annotations

import pytest

from gateway.keys import Signer
from gateway.ledger.entry import LedgerEntry
from gateway.ledger.exporting import export
from gateway.ledger.folder import LedgerFolder
from tests.second_reader.ledger import Doubtful, read_ledger
from tests.support.ledgers import entry
from tests.unit.ledger.conftest import Grown
from tests.unit.ledger.test_checking import change_leaf, change_tile, reorder


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 600])
def test_who_has_the_document_alone_reads_the_same_entries(
    grown: Grown, ledger_signer: Signer, size: int
) -> None:
    ledger = grown(size)
    export(LedgerFolder(ledger), ledger.parent / "export")
    read = read_ledger(ledger.parent / "export", ledger_signer.public.public_bytes_raw())
    ours = [LedgerEntry.decode(entry(number)) for number in range(size)]
    assert [(one["statement"], one["instance"], one["study"]) for one in read] == [
        (one.statement, one.instance, one.study) for one in ours
    ]
    assert [int.from_bytes(one["sealed_at"], "big") for one in read] == [one.sealed_at for one in ours]


@pytest.mark.parametrize("forge", [change_leaf, change_tile, reorder])
def test_and_finds_the_same_forgeries(grown: Grown, ledger_signer: Signer, forge: object) -> None:
    ledger = grown(600)
    export(LedgerFolder(ledger), ledger.parent / "export")
    assert callable(forge)
    forge(ledger.parent / "export")
    with pytest.raises(Doubtful):
        read_ledger(ledger.parent / "export", ledger_signer.public.public_bytes_raw())


def test_a_ledger_of_more_than_a_quarter_of_a_million_has_three_levels(
    grown: Grown, ledger_signer: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tiles of level 1 get full, and names get a second group of digits."""
    monkeypatch.setattr("os.fsync", lambda _: None)
    monkeypatch.setattr("os.fdatasync", lambda _: None)
    ledger = grown(256 * 1000 + 257)
    grown(3)
    export(LedgerFolder(ledger), ledger.parent / "export")
    read = read_ledger(ledger.parent / "export", ledger_signer.public.public_bytes_raw())
    assert len(read) == 256 * 1000 + 260
    assert (ledger / "tile/entries/x001/000").is_file()
    assert (ledger / "tile/1/002").is_file()
    assert (ledger.parent / "export/tile/2/000.p/3").is_file()
