"""Frames, fragments, bits: how the pixel data is cut."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_fragments, generate_frames
from pydicom.filereader import dcmread
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, JPEGBaseline8Bit, JPEGExtended12Bit

from tests.campaigns.tampering.change import NOT_GOOD, STRUCTURE, TAMPERED, Change, Scene
from tests.campaigns.tampering.making import element
from tests.campaigns.tampering.subjects import (
    Applies,
    both,
    encapsulated,
    explicit_little,
    frames,
    image,
    native,
    several_frames,
)
from tests.campaigns.tampering.tools import bytes_differ, differs, on_samples, pixels_differ

Fragments = list[bytes]


def _one_fragment_a_frame(dataset: Dataset) -> bool:
    return encapsulated(dataset) and several_frames(dataset) and len(_fragments(dataset)) == frames(dataset)


def _fragments(dataset: Dataset) -> Fragments:
    return list(generate_fragments(dataset.PixelData))[1:]


def _frames_of(dataset: Dataset) -> Fragments:
    return list(generate_frames(dataset.PixelData, number_of_frames=frames(dataset)))


def _on_fragments(work: Callable[[Fragments], Fragments], *, counted: bool) -> Callable[[Scene, Path], None]:
    """counted: Number of Frames follows."""

    def apply(scene: Scene, target: Path) -> None:
        dataset = dcmread(scene.source)
        parts = work(_frames_of(dataset))
        dataset.PixelData = encapsulate(parts)
        dataset["PixelData"].is_undefined_length = True
        if counted:
            dataset.NumberOfFrames = len(parts)
        dataset.save_as(target)

    return apply


def _item(content: bytes) -> bytes:
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(content)) + content


def _merged(scene: Scene, target: Path) -> None:
    """Two fragments become one, the offsets are left empty: a reader that counts fragments shows a frame less."""
    dataset = dcmread(scene.source)
    parts = _fragments(dataset)
    merged = [parts[0] + parts[1], *parts[2:]]
    dataset.PixelData = b"".join(map(_item, [b"", *merged]))
    dataset["PixelData"].is_undefined_length = True
    dataset.save_as(target)


def _offsets_exchanged(scene: Scene, target: Path) -> None:
    """The basic offset table maps the frames in reverse; the fragments stay (PS3.5 A.4)."""
    dataset = dcmread(scene.source)
    parts = _fragments(dataset)
    offsets = np.cumsum([0, *(len(part) + 8 for part in parts[:-1])])[::-1]
    table = struct.pack(f"<{len(parts)}I", *map(int, offsets))
    dataset.PixelData = b"".join(map(_item, [table, *parts]))
    dataset["PixelData"].is_undefined_length = True
    dataset.save_as(target)


def _extended_offsets_exchanged(scene: Scene, target: Path) -> None:
    """An extended offset table maps the frames in reverse (PS3.3 C.7.6.3.1.8)."""
    dataset = dcmread(scene.source)
    parts = _fragments(dataset)
    offsets = np.cumsum([0, *(len(part) + 8 for part in parts[:-1])])[::-1]
    dataset.ExtendedOffsetTable = np.asarray(offsets, "<u8").tobytes()
    dataset.ExtendedOffsetTableLengths = np.asarray([len(part) for part in parts][::-1], "<u8").tobytes()
    dataset.PixelData = b"".join(map(_item, [b"", *parts]))
    dataset["PixelData"].is_undefined_length = True
    dataset.save_as(target)


def _relabelled(syntax: str) -> Callable[[Scene, Path], None]:
    """Another transfer syntax in the file meta information, the same bytes after it."""

    def apply(scene: Scene, target: Path) -> None:
        data = scene.source.read_bytes()
        old = str(dcmread(scene.source, stop_before_pixels=True).file_meta.TransferSyntaxUID)
        head, marker = data[:1024], b"\x02\0\x10\0UI"
        at = head.index(marker) + 6
        length = struct.unpack_from("<H", head, at)[0]
        assert head[at + 2 : at + 2 + length].rstrip(b"\0") == old.encode()
        new = syntax.encode() + b"\0" * (len(syntax) % 2)
        start = data.index(b"\x02\0\0\0UL\x04\0") + 8
        group = struct.unpack_from("<I", data, start)[0] + len(new) - length
        changed = bytearray(data[:at] + struct.pack("<H", len(new)) + new + data[at + 2 + length :])
        struct.pack_into("<I", changed, start, group)
        target.write_bytes(bytes(changed))

    return apply


def _label(*syntaxes: str) -> Applies:
    return lambda dataset: str(dataset.file_meta.TransferSyntaxUID) in syntaxes


def _half_the_rows(scene: Scene, target: Path) -> None:
    dataset = dcmread(scene.source)
    size = len(dataset.PixelData) // frames(dataset) // 2
    dataset.PixelData = dataset.PixelData[: size - size % 2]
    dataset.Rows //= 2
    dataset.save_as(target)


def _flat_native(dataset: Dataset) -> bool:
    return (
        image(dataset)
        and not encapsulated(dataset)
        and frames(dataset) == 1
        and dataset.Rows % 2 == 0
        and (not dataset.file_meta.TransferSyntaxUID.is_deflated and dataset.BitsAllocated >= 8)
    )


def _pixels_gone(scene: Scene, target: Path) -> None:
    dataset = dcmread(scene.source)
    del dataset.PixelData
    dataset.save_as(target)


FRAMES = ("NumberOfFrames",)

CHANGES: tuple[Change, ...] = (
    Change(
        name="frame-dropped",
        group="structure",
        person="takes a frame out of a loop",
        tool="pydicom, NumPy",
        applies=both(native, several_frames),
        apply=on_samples(lambda s: s[:-1]),
        proof=differs("NumberOfFrames"),
        expected=TAMPERED,
        names=FRAMES,
    ),
    Change(
        name="frame-doubled",
        group="structure",
        person="shows a frame twice",
        tool="pydicom, NumPy",
        applies=both(native, several_frames),
        apply=on_samples(lambda s: np.concatenate([s[:1], s])),
        proof=differs("NumberOfFrames"),
        expected=TAMPERED,
        names=FRAMES,
    ),
    Change(
        name="frame-replaced",
        group="structure",
        person="puts the frame before in the place of one",
        tool="pydicom, NumPy",
        applies=both(native, several_frames),
        apply=on_samples(lambda s: np.concatenate([s[:-1], s[:1]])),
        proof=pixels_differ,
        expected=TAMPERED,
    ),
    Change(
        name="frames-reversed",
        group="structure",
        person="shows the frames in reverse",
        tool="pydicom, NumPy",
        applies=both(native, several_frames),
        apply=on_samples(lambda s: s[::-1]),
        proof=pixels_differ,
        expected=(*TAMPERED, "lossy"),
    ),
    Change(
        name="fragment-dropped",
        group="structure",
        person="takes a compressed frame out",
        tool="pydicom",
        applies=_one_fragment_a_frame,
        apply=_on_fragments(lambda parts: parts[:-1], counted=True),
        proof=differs("NumberOfFrames"),
        expected=TAMPERED,
    ),
    Change(
        name="fragment-doubled",
        group="structure",
        person="shows a compressed frame twice",
        tool="pydicom",
        applies=_one_fragment_a_frame,
        apply=_on_fragments(lambda parts: [parts[0], *parts], counted=True),
        proof=differs("NumberOfFrames"),
        expected=TAMPERED,
    ),
    Change(
        name="fragments-reordered",
        group="structure",
        person="shows compressed frames in reverse",
        tool="pydicom",
        applies=_one_fragment_a_frame,
        apply=_on_fragments(lambda parts: parts[::-1], counted=False),
        proof=pixels_differ,
        expected=(*TAMPERED, "lossy"),
    ),
    Change(
        name="fragments-merged",
        group="structure",
        person="merges two fragments, so that readers count frames differently",
        tool="pydicom",
        applies=_one_fragment_a_frame,
        apply=_merged,
        proof=pixels_differ,
        expected=NOT_GOOD,
    ),
    Change(
        name="offsets-exchanged",
        group="readers",
        person="has the offset table map frames in reverse",
        tool="pydicom",
        applies=_one_fragment_a_frame,
        apply=_offsets_exchanged,
        proof=pixels_differ,
        expected=NOT_GOOD,
    ),
    Change(
        name="extended-offsets-exchanged",
        group="readers",
        person="adds an extended offset table that maps frames in reverse",
        tool="pydicom",
        applies=_one_fragment_a_frame,
        apply=_extended_offsets_exchanged,
        proof=differs("ExtendedOffsetTable"),
        expected=NOT_GOOD,
    ),
    element(
        "frame-count",
        "structure",
        "says fewer frames than there are",
        "NumberOfFrames",
        "1",
        applies=several_frames,
        expected=NOT_GOOD,
    ),
    Change(
        name="half-the-rows",
        group="structure",
        person="cuts the lower half off",
        tool="pydicom",
        applies=_flat_native,
        apply=_half_the_rows,
        proof=differs("Rows"),
        expected=TAMPERED,
    ),
    Change(
        name="pixels-gone",
        group="structure",
        person="takes the pixel data out",
        tool="pydicom",
        applies=image,
        apply=_pixels_gone,
        proof=lambda _, after: "PixelData" not in dcmread(after),
        expected=NOT_GOOD,
    ),
    element(
        "bits-stored",
        "structure",
        "says fewer bits: the highest are cut off",
        "BitsStored",
        lambda d: str(d.BitsStored - 4),
        applies=both(native, lambda d: d.BitsStored >= 12),
        expected=STRUCTURE,
    ),
    element(
        "signedness",
        "structure",
        "has values read with another sign",
        "PixelRepresentation",
        lambda d: str(1 - d.PixelRepresentation),
        applies=native,
        expected=STRUCTURE,
    ),
    Change(
        name="label-big-endian",
        group="readers",
        person="says big endian over little-endian bytes",
        tool="hex editor",
        applies=both(image, explicit_little),
        apply=_relabelled(ExplicitVRBigEndian),
        proof=bytes_differ,
        expected=NOT_GOOD,
    ),
    Change(
        name="label-little-endian",
        group="readers",
        person="says little endian over big-endian bytes",
        tool="hex editor",
        applies=both(image, _label(ExplicitVRBigEndian)),
        apply=_relabelled(ExplicitVRLittleEndian),
        proof=bytes_differ,
        expected=NOT_GOOD,
    ),
    Change(
        name="label-other-compression",
        group="readers",
        person="names another compression than the pixels have",
        tool="hex editor",
        applies=both(encapsulated, _label(JPEGBaseline8Bit)),
        apply=_relabelled(JPEGExtended12Bit),
        proof=bytes_differ,
        expected=NOT_GOOD,
    ),
)
