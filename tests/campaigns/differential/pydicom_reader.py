"""A file as pydicom shows it to whoever uses it as its manual says."""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np
from pydicom import dcmread
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.encaps import generate_fragments, generate_frames
from pydicom.pixels import pixel_array
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit, JPEGLSLossless, RLELossless

from tests.campaigns.differential.readings import Reading, Tree, Value

_NUMBERS = frozenset("US SS UL SL UV SV FL FD AT".split())
_TEXTS = frozenset("SH LO UC ST LT UT PN DS IS".split())
PIXEL_DATA = 0x7FE00010
# Not that of GDCM: it ends the process over damaged data.
_PLUGINS = {
    RLELossless: "pydicom",
    JPEGLSLossless: "pyjpegls",
    JPEG2000Lossless: "pillow",
    JPEGBaseline8Bit: "pillow",
}


def read(data: bytes, *, with_samples: bool) -> Reading:
    """With `force`, so that as much is read as can be."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _read(data, with_samples=with_samples)


def _read(data: bytes, *, with_samples: bool) -> Reading:
    try:
        dataset = dcmread(io.BytesIO(data), force=True)
        found = Reading(tree=_tree(dataset))
    except Exception as error:  # noqa: BLE001 - it refuses in many ways
        return Reading(refusal=f"{type(error).__name__}: {error}"[:120])
    if not found.tree:
        return Reading(refusal="nothing in it")
    if with_samples:
        _add_pixels(dataset, found)
    return found


def _add_pixels(dataset: Any, found: Reading) -> None:
    element = found.tree.get(PIXEL_DATA)
    if element is None:
        return
    count = int(dataset.get("NumberOfFrames", 1) or 1)
    try:
        if element.fragments is not None:
            offsets = dataset.get("ExtendedOffsetTable"), dataset.get("ExtendedOffsetTableLengths")
            found.frames = list(
                generate_frames(
                    dataset.PixelData,
                    number_of_frames=count,
                    extended_offsets=offsets if all(offsets) else None,
                )
            )
        plugin = _PLUGINS.get(dataset.file_meta.get("TransferSyntaxUID"), "")
        found.samples = np.asarray(pixel_array(dataset, raw=True, decoding_plugin=plugin))
    except Exception:  # noqa: BLE001 - pixels that are not shown are not shown wrong
        return


def _tree(dataset: Dataset) -> Tree:
    return {int(tag): _value(dataset, tag) for tag in dataset.keys() if tag & 0xFFFF}  # noqa: SIM118


def _value(dataset: Dataset, tag: Any) -> Value:
    stored = dataset.get_item(tag)
    raw = None
    if isinstance(stored, RawDataElement):
        raw = stored.value or b""
    try:
        element = dataset[tag]
    except Exception:  # noqa: BLE001 - what it can't convert it shows to nobody
        return Value("??", raw=raw)
    vr = str(element.VR)
    if vr == "SQ":
        return Value(vr, raw=raw, items=[_tree(item) for item in element.value])
    if raw is not None and isinstance(stored, RawDataElement):
        if stored.length == 0xFFFFFFFF and tag == PIXEL_DATA:
            return Value(vr, fragments=_fragments(raw))
        if not stored.is_little_endian:
            raw = _little(raw, vr)
    value = Value(vr, raw=raw)
    content = element.value
    values = [] if content is None else list(content) if element.VM > 1 else [content]
    if vr in _NUMBERS:
        value.numbers = [float(v) if vr in ("FL", "FD") else int(v) for v in values if v != ""]
    elif vr in _TEXTS:
        value.text = "\\".join(str(v) for v in values)
    return value


def _fragments(raw: bytes) -> list[bytes]:
    size = int.from_bytes(raw[4:8], "little")
    return [raw[8 : 8 + size], *generate_fragments(raw[8 + size :])]


def _little(raw: bytes, vr: str) -> bytes:
    width = {"US": 2, "SS": 2, "AT": 2, "OW": 2, "UL": 4, "SL": 4, "FL": 4, "OF": 4, "OL": 4}.get(vr)
    width = width or {"FD": 8, "OD": 8, "SV": 8, "UV": 8, "OV": 8}.get(vr, 1)
    whole = len(raw) // width * width
    return np.frombuffer(raw[:whole], f"u{width}").byteswap().tobytes() + raw[whole:]
