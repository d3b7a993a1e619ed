"""Which level an object may get, and why: the rules of eligibility.toml applied to a header."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from gateway.dicom import one_reading
from gateway.dicom.image import PixelFormat, pixel_format
from gateway.dicom.part10 import Part10
from gateway.dicom.syntaxes import syntax_of
from gateway.dicom.tags import MEDIA_STORAGE_SOP_CLASS_UID, MODALITY, PIXEL_DATA, SOP_CLASS_UID
from gateway.errors import UnreadableObject, UnsupportedPixels
from gateway.seal.block import private_block
from gateway.seal.block.statement import Level
from gateway.seal.header import dictionary

DIGITAL_SIGNATURES = 0xFFFAFFFA
_DIRECTORY_RECORDS = 0x00041220
_FLOAT_PIXEL_DATA = (0x7FE00008, 0x7FE00009)
_OVERLAY_GROUPS = range(0x6000, 0x6020, 2)


@dataclass(frozen=True)
class Decision:
    """The highest level that an object may get.

    reason: a code word; "allowed" for level full.
    shape: None when the object has no integer pixels.
    """

    level: Level
    reason: str
    shape: PixelFormat | None


@cache
def table() -> dict[str, Any]:
    """The rules as data."""
    return tomllib.loads(files("gateway.seal").joinpath("eligibility.toml").read_text("utf-8"))


def judge(file: Part10) -> Decision:
    """What may be done to an object, by its header alone. Whether its pixels decode turns out later."""
    sop_class = file.text(SOP_CLASS_UID)
    # A DICOMDIR says only here what it is.
    stored_class = file.meta.get(MEDIA_STORAGE_SOP_CLASS_UID, b"").decode("latin-1").strip(" \0")
    for uid in (sop_class, stored_class):
        if uid in table()["pass"]:
            return Decision(Level.PASS, table()["pass"][uid], None)
    if _DIRECTORY_RECORDS in file.index:
        # Directory records point to each other by their offsets in the file (PS3.3 F.3.2.2).
        return Decision(Level.PASS, "media-directory", None)
    if private_block.has_block(file):
        return Decision(Level.PASS, "already-sealed", None)
    if DIGITAL_SIGNATURES in file.index:
        # Every change, even a private block, could break a signature made by someone else (PS3.15 C).
        return Decision(Level.PASS, "digitally-signed", None)
    if one_reading.objection(file, dictionary.vrs()):
        # A seal would vouch for what only some readers show.
        return Decision(Level.PASS, "ambiguous", None)
    if PIXEL_DATA not in file.index:
        has_floats = any(tag in file.index for tag in _FLOAT_PIXEL_DATA)
        return Decision(Level.DIGEST, "float-pixels" if has_floats else "non-image", None)
    try:
        shape = pixel_format(file)
    except (UnsupportedPixels, UnreadableObject):
        return Decision(Level.DIGEST, "pixels-undefined", None)
    reason = _by_kind(file, sop_class) or _by_layout(shape) or _by_overlay(file)
    return Decision(Level.DIGEST if reason else Level.FULL, reason or "allowed", shape)


def _by_kind(file: Part10, sop_class: str) -> str:
    rules = table()
    if sop_class in rules["kept"]:
        return str(rules["kept"][sop_class])
    if file.text(MODALITY) in rules["modalities"]:
        return str(rules["modalities"][file.text(MODALITY)])
    syntax = syntax_of(file.transfer_syntax)
    if syntax.lossy:
        return "lossy-compressed"
    if not syntax.reversible:
        return "unknown-syntax"
    return "" if sop_class in rules["images"] else "unlisted-class"


def _by_layout(shape: PixelFormat) -> str:
    rules = table()
    limits = rules["limits"]
    photometric = rules["photometric"].get(shape.photometric, "unknown-photometric")
    if photometric != "allowed":
        return str(photometric)
    if shape.allocated == 1:
        return "one-bit"
    if (
        shape.allocated not in (8, 16)
        or not limits["stored_bits_min"] <= shape.stored <= limits["stored_bits_max"]
    ):
        return "bit-depth"
    if shape.high_bit != shape.stored - 1:
        return "high-bit"
    if shape.samples != (1 if shape.photometric.startswith("MONOCHROME") else 3):
        return "samples"
    if min(shape.rows, shape.columns) < limits["edge_min"]:
        return "too-small"
    if shape.sample_count > limits["samples_max"]:
        return "too-large"
    return ""


def _by_overlay(file: Part10) -> str:
    """Overlays in the unused bits of the pixels (PS3.3 C.9.2, retired) are declared, and have no data of their own."""
    for group in _OVERLAY_GROUPS:
        declared = group << 16 | 0x0010 in file.index
        if declared and group << 16 | 0x3000 not in file.index:
            return "embedded-overlay"
    return ""
