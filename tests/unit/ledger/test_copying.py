"""A copy of the ledger for a backup: whole, under no name, and taken while it grows."""

from __future__ import annotations

from pathlib import Path

from gateway.keys import Signer
from gateway.ledger.copying import LedgerCopy
from gateway.ledger.folder import LedgerFolder
from gateway.ledger.tiles import bundle_path
from gateway.ledger.writing import LedgerWriter
from gateway.spool.local import link_or_copy
from tests.support.ledgers import add, entry, mth, sign_now
from tests.unit.ledger.conftest import Grown


def reopened(folder: Path, signer: Signer) -> LedgerFolder:
    writer = LedgerWriter(folder, gateway_id="gateway")
    sign_now(writer, signer)
    writer.close()
    return LedgerFolder(folder)


def test_a_copy_that_was_begun_before_the_ledger_grew_holds_all_of_it(
    grown: Grown, tmp_path: Path, ledger_signer: Signer
) -> None:
    source = grown(300)
    copy = LedgerCopy(source, tmp_path / "copy", link=link_or_copy)
    copy.copy_tiles()
    grown(400)
    copy.copy_rest()
    again = reopened(tmp_path / "copy", ledger_signer)
    signed, before = again.checkpoint(), LedgerFolder(source).checkpoint()
    assert signed is not None and before is not None
    assert signed.checkpoint.root == before.checkpoint.root == mth([entry(number) for number in range(700)])
    assert signed.checkpoint.origin != before.checkpoint.origin


def test_both_go_on_without_touching_each_other(grown: Grown, tmp_path: Path, ledger_signer: Signer) -> None:
    source = grown(300)
    LedgerCopy(source, tmp_path / "copy", link=link_or_copy).copy_rest()
    add(tmp_path / "copy", 300, ledger_signer)
    assert LedgerFolder(source).open_bundle().end == 300
    grown(5)
    LedgerFolder(source).check()
    LedgerFolder(tmp_path / "copy").check()


def test_where_there_is_no_ledger_there_is_nothing_to_copy(tmp_path: Path) -> None:
    copy = LedgerCopy(tmp_path / "ledger", tmp_path / "copy", link=link_or_copy)
    copy.copy_tiles()
    copy.copy_rest()
    assert not (tmp_path / "copy").exists()


def test_a_damaged_ledger_is_copied_as_it_is(grown: Grown, tmp_path: Path) -> None:
    source = grown(300)
    (source / "open").unlink()
    LedgerCopy(source, tmp_path / "copy", link=link_or_copy).copy_rest()
    assert (tmp_path / "copy" / bundle_path(0)).is_file()
    assert not (tmp_path / "copy" / "origin").exists()
