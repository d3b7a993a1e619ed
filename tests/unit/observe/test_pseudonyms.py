"""Pseudonyms tell nothing about the instance."""

from __future__ import annotations

import stat
from pathlib import Path

from gateway.observe.pseudonyms import Pseudonyms


def test_pseudonyms_are_stable_within_a_gateway_and_differ_between_gateways(tmp_path: Path) -> None:
    first, again = Pseudonyms.load(tmp_path / "a"), Pseudonyms.load(tmp_path / "a")
    other = Pseudonyms.load(tmp_path / "b")
    assert first.of("1.2.3") == again.of("1.2.3") != other.of("1.2.3")
    assert len(first.of("1.2.3")) == 16
    assert stat.S_IMODE((tmp_path / "a" / "pseudonym.key").stat().st_mode) == 0o600
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["pseudonym.key"]
