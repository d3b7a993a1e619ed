"""GDCM in a process of its own, because damaged files end it: reads paths from its input, writes pickled readings.

`python -m tests.campaigns.differential.gdcm_child`; each answer is 4 bytes length, little endian, and the pickle.
"""

from __future__ import annotations

import pickle
import struct
import sys
from typing import Any

import gdcm

# (tag, VR, value, items, fragments without the offset table); what does not apply is None.
Found = tuple[int, str, bytes | None, list[list[Any]] | None, list[bytes] | None]
ITEM = b"\xfe\xff\x00\xe0"
SWAPPED_ITEM = b"\xff\xfe\xe0\x00"
DEEPEST = 80


def _bytes(value: Any) -> bytes:
    if value is None:
        return b""
    text = value.GetBuffer()
    return text.encode("utf-8", "surrogateescape") if isinstance(text, str) else bytes(text or b"")


def _elements(dataset: Any, deep: int) -> list[Found]:
    found: list[Found] = []
    for element in dataset.GetDES():
        tag = element.GetTag().GetGroup() << 16 | element.GetTag().GetElement()
        vr = str(element.GetVR())
        value = element.GetByteValue()
        if value is not None:
            raw = _bytes(value)
            looks = raw.startswith((ITEM, SWAPPED_ITEM)) and deep < DEEPEST
            found.append((tag, vr, raw, _items(element, deep) if looks else None, None))
            continue
        fragments = element.GetSequenceOfFragments()
        if fragments is not None:
            count = fragments.GetNumberOfFragments()
            parts = [_bytes(fragments.GetFragment(number).GetByteValue()) for number in range(count)]
            found.append((tag, vr, None, None, parts))
            continue
        items = None if element.IsEmpty() else _items(element, deep)
        found.append((tag, vr, b"" if items is None else None, items, None))
    return found


def _items(element: Any, deep: int) -> list[list[Any]] | None:
    sequence = element.GetValueAsSQ()
    if not sequence:
        return None
    return [
        _elements(sequence.GetItem(number + 1).GetNestedDataSet(), deep + 1)
        for number in range(sequence.GetNumberOfItems())
    ]


def answer(path: str, *, pixels: bool) -> dict[str, Any]:
    reader = gdcm.Reader()
    reader.SetFileName(path)
    if not reader.Read():
        return {"ok": False}
    file = reader.GetFile()
    made: dict[str, Any] = {"ok": True, "elements": _elements(file.GetDataSet(), 0)}
    if pixels:
        images = gdcm.ImageReader()
        images.SetFileName(path)
        if images.Read():
            image = images.GetImage()
            buffer = image.GetBuffer()
            made["pixels"] = buffer.encode("utf-8", "surrogateescape") if buffer is not None else None
            made["planar"] = image.GetPlanarConfiguration()
    return made


def main() -> None:
    gdcm.Trace.WarningOff()
    gdcm.Trace.ErrorOff()
    for line in sys.stdin:
        pixels, path = line.rstrip("\n").split(" ", 1)
        made = pickle.dumps(answer(path, pixels=pixels == "1"))
        sys.stdout.buffer.write(struct.pack("<I", len(made)) + made)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
