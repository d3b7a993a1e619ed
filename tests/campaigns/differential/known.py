"""Faults of single readers on files that are legal: what they are, so that nothing else hides among them."""

from __future__ import annotations

from gateway.dicom.part10 import Part10
from tests.campaigns.differential.readings import Reading


def fault(reader: str, line: str, file: Part10, own: Reading) -> str:
    """The name of the known fault that explains a difference; empty when there is none."""
    return ""
