"""The tree against RFC 6962, in a second implementation and in vectors that others published."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.keys import Signer
from gateway.ledger.folder import LedgerFolder
from gateway.ledger.merkle import EMPTY_ROOT, Frontier, leaf_hash, node_hash
from tests.support.ledgers import add, entry, mth, path

# The inputs and roots of the reference tests of Certificate Transparency (certificate-transparency, merkle_tree_test).
PUBLISHED_LEAVES = [
    bytes.fromhex(value)
    for value in (
        "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
    )
]  # fmt: skip
PUBLISHED_ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


@pytest.mark.parametrize("count", range(1, 9))
def test_the_published_trees_have_their_published_roots(count: int) -> None:
    leaves = PUBLISHED_LEAVES[:count]
    assert Frontier.of(map(leaf_hash, leaves)).root().hex() == PUBLISHED_ROOTS[count - 1]
    assert mth(leaves).hex() == PUBLISHED_ROOTS[count - 1]


def test_a_tree_without_leaves_has_the_hash_of_nothing() -> None:
    assert Frontier().root() == EMPTY_ROOT == hashlib.sha256(b"").digest()


@given(st.lists(st.binary(max_size=4), max_size=70))
def test_any_tree_has_the_root_of_the_rfc(leaves: list[bytes]) -> None:
    assert Frontier.of(map(leaf_hash, leaves)).root() == mth(leaves)


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 511, 512, 700])
def test_every_smaller_tree_can_be_read_from_the_tiles_of_a_larger_one(
    tmp_path: Path, ledger_signer: Signer, size: int
) -> None:
    """Consistency (RFC 6962 2.1.2): what was signed once can be computed from what is there later."""
    folder = LedgerFolder(add(tmp_path / "ledger", 700, ledger_signer))
    assert folder.tree(size).root() == mth([entry(number) for number in range(size)])


@settings(max_examples=20, deadline=None)
@given(st.data())
def test_an_entry_and_its_audit_path_lead_to_the_root(data: st.DataObject) -> None:
    """Inclusion (RFC 6962 2.1.1), as anybody would compute it who has an export."""
    leaves = [entry(number) for number in range(data.draw(st.integers(1, 600)))]
    index = data.draw(st.integers(0, len(leaves) - 1))
    digest, place, last = leaf_hash(leaves[index]), index, len(leaves) - 1
    for sibling in path(index, leaves):
        # RFC 9162 2.1.3.2.
        if place & 1 or place == last:
            digest = node_hash(sibling, digest)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            digest = node_hash(digest, sibling)
        place, last = place >> 1, last >> 1
    assert digest == Frontier.of(map(leaf_hash, leaves)).root()


def test_a_tree_of_many_entries_keeps_one_hash_for_each_bit_of_its_size() -> None:
    tree = Frontier.of([bytes(32)] * 3, height=22)
    tree.add(bytes(32))
    assert (tree.size, len(tree._subtrees)) == (3 * 2**22 + 1, 3)
