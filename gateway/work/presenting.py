"""What a viewer that asks over HTTP needs of an object: metadata, and where its frames and long values stand.

It is made in the worker process, so that the service hands out byte ranges and parses nothing.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from gateway.dicom.elements import EXPLICIT_LE, Element, walk
from gateway.dicom.image import pixel_format, to_native
from gateway.dicom.json_model import Model, key_of, model_of
from gateway.dicom.lazy_bytes import ByteRange, ByteSource, flat
from gateway.dicom.part10 import Part10, read
from gateway.dicom.pixels import codestreams, decode
from gateway.dicom.recoding import recoded
from gateway.dicom.syntaxes import Form, syntax_of
from gateway.dicom.tags import (
    PIXEL_DATA,
    PIXEL_REPRESENTATION,
    SERIES_INSTANCE_UID,
    SOP_INSTANCE_UID,
    STUDY_INSTANCE_UID,
)
from gateway.errors import TooMuchMemory, UnreadableObject, UnsupportedPixels
from gateway.seal.findings import Report
from gateway.work.tasks import FRAMES_APART, Presentation, ReturnTask
from gateway.work.words import words_of

# Longer values are fetched apart.
INLINE_MAX = 4096
# Private, of the way out only; never in what is signed.
VERDICT_GROUP = "0099"
# Of a header difference: all but its values.
_PLACE_OF_DIFFERENCE = frozenset({"class", "keyword", "path", "frames", "amended"})
# Frames that are taken out of their object.
FRAMES_APART_MAX = 65_536
METADATA_BYTES_MAX = 64 << 20
_PIXELS = {PIXEL_DATA: "OW", 0x7FE00008: "OF", 0x7FE00009: "OD"}
_OFFSET_TABLES = frozenset({0x7FE00001, 0x7FE00002})
# Of an object that is withheld: what it is, and how a place for a notice is laid out. Nothing that was measured.
SHAPE = frozenset({0x00080016, 0x00080060, 0x00200011, 0x00200013, 0x00280002, 0x00280004, 0x00280006, 0x00280008,
                   0x00280010, 0x00280011, 0x00280100, 0x00280101, 0x00280102, 0x00280103})  # fmt: skip
# Whose it is; of an object whose identity is whole only.
IDENTITY = frozenset({0x00080005, 0x00080020, 0x00080050, 0x00100010, 0x00100020, 0x00100030, 0x00100040})
MISLEADING = frozenset({"misidentified", "unknown-signer", "unsealed", "unreadable"})


@dataclass(frozen=True)
class Told:
    """What a viewer is told of one object.

    task: of the object.
    verdict, reason, keywords: as in Returned.
    report: of verification.
    """

    task: ReturnTask
    verdict: str
    reason: str
    keywords: tuple[str, ...]
    report: Report

    def presented(self, data: ByteSource) -> Presentation:
        """data: what is handed out. Raises UnreadableObject, UnsupportedPixels, TooMuchMemory."""
        try:
            file = read(data)
        except UnreadableObject:
            # Handed out nevertheless, because the policy says so.
            return self.withheld(data)
        start = len(data) - len(file.body)
        in_place = syntax_of(file.transfer_syntax).form is not Form.DEFLATED and file.encoding.little
        apart = {
            element.tag: element
            for element in file.elements
            if element.tag in _PIXELS or (in_place and _is_long(element))
        }
        model = _model(file, [element for element in file.elements if element.tag not in apart])
        for tag, element in apart.items():
            uri = (
                f"{self.task.address}/frames"
                if tag == PIXEL_DATA
                else f"{self.task.address}/bulkdata/{key_of(tag)}"
            )
            vr = _PIXELS.get(tag) if element.vr is None else element.vr.decode()
            model[key_of(tag)] = {"vr": vr or "UN", "BulkDataURI": uri}
        frames, frames_apart = _frames(
            file, start, lambda samples: self.task.target.beside(FRAMES_APART).write(samples)
        )
        return Presentation(
            syntax=file.transfer_syntax,
            metadata=self._metadata(model),
            report=self._report(),
            frames=frames,
            apart=frames_apart,
            bulk={
                tag: (start + element.value, start + element.end)
                for tag, element in apart.items()
                if in_place and not element.undefined
            },
        )

    def withheld(self, data: ByteSource) -> Presentation:
        """Enough that a viewer can tell of an object which it does not get. Raises TooMuchMemory."""
        misleading = self.verdict in MISLEADING or any(
            difference.get("class") in (None, "identity") for difference in self.report.header_differences
        )
        kept = SHAPE if misleading else SHAPE | IDENTITY
        try:
            file = read(data)
            model = _model(file, [element for element in file.elements if element.tag in kept])
        except (UnreadableObject, UnsupportedPixels):
            model = {}
        # As it was asked for: what the object says of itself may be wrong.
        for tag, uid in (
            (SOP_INSTANCE_UID, self.task.sop_instance),
            (STUDY_INSTANCE_UID, self.task.study_instance),
            (SERIES_INSTANCE_UID, self.task.series_instance),
        ):
            model[key_of(tag)] = {"vr": "UI", "Value": [uid]}
        return Presentation(syntax="", metadata=self._metadata(model), report=self._report(values=False))

    def _metadata(self, model: Model) -> bytes:
        """With the verdict in a private block, and without what somebody else wrote there. Raises TooMuchMemory."""
        kept = {key: value for key, value in model.items() if not key.startswith(VERDICT_GROUP)}
        words = words_of(self.reason, tiles=len(self.report.tampered_tiles), keywords=self.keywords)
        kept |= {
            f"{VERDICT_GROUP}0010": {"vr": "LO", "Value": ["SEALGATE"]},
            f"{VERDICT_GROUP}1001": {"vr": "LO", "Value": [self.verdict]},
            f"{VERDICT_GROUP}1002": {"vr": "LT", "Value": [words]},
        }
        if self.report.tampered_tiles:
            tiles = json.dumps([list(tile) for tile in self.report.tampered_tiles], separators=(",", ":"))
            kept[f"{VERDICT_GROUP}1003"] = {"vr": "UT", "Value": [tiles]}
        # PS3.18 F.2.2: in the order of tags.
        return _packed({key: kept[key] for key in sorted(kept)})

    def _report(self, *, values: bool = True) -> bytes:
        """values: whether values of the object may be told, which may name somebody else. Raises TooMuchMemory."""
        content: dict[str, Any] = self.report.to_json()
        if not values:
            content.pop("amendments", None)
            content["header_differences"] = [
                {key: part for key, part in difference.items() if key in _PLACE_OF_DIFFERENCE}
                for difference in content["header_differences"]
            ]
        # The identity that is hidden in the pixels is for those who may open records.
        for key in ("record", "shortened"):
            content.pop(key, None)
        return _packed(content | {"verdict": self.verdict, "reason": self.reason})


def unpacked(packed: bytes) -> bytes:
    """The text of `metadata` or `report`."""
    return zlib.decompress(packed)


def _model(file: Part10, elements: list[Element]) -> Model:
    kept = [
        element for element in elements if element.tag not in _PIXELS and element.tag not in _OFFSET_TABLES
    ]
    if file.encoding == EXPLICIT_LE:
        return model_of(file.body, kept)
    header = flat([file.body[element.start : element.end] for element in kept])
    signed = file.number(PIXEL_REPRESENTATION, 0) == 1
    body = recoded(header, file.encoding, EXPLICIT_LE, signed=signed)
    return model_of(body, walk(body, 0, len(body), EXPLICIT_LE))


def _is_long(element: Element) -> bool:
    binary = element.vr in (b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"UN")
    return binary and not element.undefined and element.end - element.value > INLINE_MAX


def _frames(
    file: Part10, start: int, put_frames: Callable[[bytes], None]
) -> tuple[tuple[tuple[tuple[int, int], ...], ...], bool]:
    """Where the frames stand, and whether that is in a file of their own."""
    if PIXEL_DATA not in file.index:
        return (), False
    try:
        if not syntax_of(file.transfer_syntax).native:
            base = start + file.index[PIXEL_DATA].value
            return tuple(
                tuple(
                    (base + part.start, base + part.start + len(part))
                    for part in parts
                    if isinstance(part, ByteRange)
                )
                for parts in codestreams(file)
            ), False
        shape = pixel_format(file)
        element, size = file.index[PIXEL_DATA], shape.byte_count // shape.frames
        if (
            file.encoding.little
            and syntax_of(file.transfer_syntax).form is not Form.DEFLATED
            and (shape.allocated > 1 or shape.byte_count % shape.frames == 0)
            and shape.sample_count * shape.allocated % 8 == 0
        ):
            if element.value + shape.byte_count > element.end:
                return (), False
            at = start + element.value
            return tuple(((at + n * size, at + (n + 1) * size),) for n in range(shape.frames)), False
        if shape.frames > FRAMES_APART_MAX:
            return (), False
        # Decoded once, since frames share bytes.
        pixels, single = decode(file, shape), replace(shape, frames=1)
        each = [
            to_native(
                replace(pixels, samples=pixels.samples[number : number + 1]),
                single,
                little=True,
                wide_words=shape.allocated > 8,
            )
            for number in range(shape.frames)
        ]
        put_frames(b"".join(each))
        places, at = [], 0
        for frame in each:
            places.append(((at, at + len(frame)),))
            at += len(frame)
        return tuple(places), True
    except UnsupportedPixels:
        return (), False


def _packed(content: object) -> bytes:
    """Raises TooMuchMemory."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode(
        "utf-8", "replace"
    )
    if len(text) > METADATA_BYTES_MAX:
        raise TooMuchMemory("the metadata is too long")
    return zlib.compress(text, 1)
