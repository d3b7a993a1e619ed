"""Faults of single readers on files that are legal: what they are, so that nothing else hides among them."""

from __future__ import annotations

from gateway.dicom.part10 import Part10


def fault(reader: str, line: str, file: Part10) -> str:
    """The name of the known fault that explains a difference; empty when there is none."""
    if (
        reader == "DCMTK, text"
        and line.endswith("other text")
        and b"IR 13" in (file.value(0x00080005) or b"")
    ):
        return "the delimiter of values in ISO_IR 13 is shown as a yen sign"
    return ""
