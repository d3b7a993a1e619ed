"""Files in which two readers see two things. None of them may verify good."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from pydicom.filereader import dcmread

from gateway.dicom.elements import Element
from gateway.dicom.part10 import Part10, read
from tests.campaigns.tampering.change import NOT_GOOD, Change, Scene
from tests.campaigns.tampering.subjects import Applies, both, explicit_little, has, image, native
from tests.campaigns.tampering.tools import bytes_differ, element_bytes, with_bytes
from tests.support.dcmtk import tool

BytesEdit = Callable[[bytes], bytes]
# Length of the header of the last element in the shorter reading.
SWALLOWING = 12


def _is_flat(dataset: Dataset) -> bool:
    """The bytes of the data set are there to be edited."""
    return not dataset.file_meta.TransferSyntaxUID.is_deflated


def _file(data: bytes) -> tuple[Part10, int]:
    """The file, and where its data set begins."""
    file = read(data)
    return file, len(data) - len(file.body)


def _value(file: Part10, tag: int, text: bytes) -> bytes:
    element = file.index[tag]
    return element_bytes(
        tag, element.vr or b"", text + b" " * (len(text) % 2), implicit=not file.encoding.explicit,
        little=file.encoding.little,
    )  # fmt: skip


def _doubled_at_end(tag: int, text: bytes) -> BytesEdit:
    def edit(data: bytes) -> bytes:
        file, _ = _file(data)
        return data + _value(file, tag, text)

    return edit


def _doubled_beside(tag: int, text: bytes) -> BytesEdit:
    """The second one directly after the first: the tags do not even descend."""

    def edit(data: bytes) -> bytes:
        file, start = _file(data)
        at = start + file.index[tag].end
        return data[:at] + _value(file, tag, text) + data[at:]

    return edit


def _moved(tag: int, before: int) -> BytesEdit:
    """An element out of its order (PS3.5 7.1.1)."""

    def edit(data: bytes) -> bytes:
        file, start = _file(data)
        moved, place = file.index[tag], file.index[before]
        piece = data[start + moved.start : start + moved.end]
        rest = data[: start + moved.start] + data[start + moved.end :]
        shift = moved.end - moved.start if moved.start < place.start else 0
        at = start + place.start - shift
        return rest[:at] + piece + rest[at:]

    return edit


def _inserted_after_pixels(data: bytes) -> bytes:
    """An element that belongs before the pixel data, behind it."""
    file, _ = _file(data)
    return data + element_bytes(
        "WindowCenter", b"DS", b"-1500 ", implicit=not file.encoding.explicit, little=file.encoding.little
    )


def _second_data_set(scene: Scene, target: Path) -> None:
    """The other patient's whole data set behind the end of this one."""
    other = scene.sibling.read_bytes()
    _, start = _file(other)
    target.write_bytes(scene.source.read_bytes() + other[start:])


def _group_two_again(data: bytes) -> bytes:
    """A second file meta information in the data set, with another transfer syntax."""
    _, start = _file(data)
    again = element_bytes(0x00020010, b"UI", b"1.2.840.10008.1.2\0", implicit=False, little=True)
    return data[:start] + again + data[start:]


def _nested_doubled(data: bytes) -> bytes:
    """A sequence item in which an element stands twice."""
    file, start = _file(data)
    implicit, little = not file.encoding.explicit, file.encoding.little
    order = "<" if little else ">"
    meaning = [
        element_bytes(0x00080104, b"LO", text, implicit=implicit, little=little)
        for text in (b"left breast ", b"right breast")
    ]
    content = b"".join(meaning)
    item = struct.pack(order + "HHI", 0xFFFE, 0xE000, len(content)) + content
    sequence = element_bytes("AnatomicRegionSequence", b"SQ", item, implicit=implicit, little=little)
    at = start + next(e.start for e in file.elements if e.tag > 0x00082218)
    return data[:at] + sequence + data[at:]


def _pixels_twice(data: bytes) -> bytes:
    """A second Pixel Data, of other bytes: some readers take the first, some the last."""
    file, start = _file(data)
    pixels = file.index[0x7FE00010]
    value = bytes(byte ^ 0x55 for byte in data[start + pixels.value : start + pixels.end])
    again = element_bytes(
        0x7FE00010,
        pixels.vr or b"OW",
        value,
        implicit=not file.encoding.explicit,
        little=file.encoding.little,
    )
    return data[: start + pixels.end] + again + data[start + pixels.end :]


def _float_beside(scene: Scene, target: Path) -> None:
    """Float Pixel Data beside the integer one (PS3.3 C.7.6.24): which is the picture?"""
    dataset = dcmread(scene.source)
    count = dataset.Rows * dataset.Columns * int(dataset.get("NumberOfFrames", 1) or 1)
    dataset.FloatPixelData = np.zeros(count, "<f4").tobytes()
    dataset.save_as(target)


def _other_vr(tag: int, old: bytes, new: bytes) -> BytesEdit:
    """Two bytes: the same number read as another one."""

    def edit(data: bytes) -> bytes:
        file, start = _file(data)
        element: Element = file.index[tag]
        assert element.vr == old
        at = start + element.start + 4
        return data[:at] + new + data[at + 2 :]

    return edit


def _with_vr(tag: int, vr: str) -> Applies:
    return lambda dataset: explicit_little(dataset) and tag in dataset and vr == dataset[tag].VR


def _two_readings(scene: Scene, target: Path) -> None:
    """Declared little endian, beginning as big endian, and whole in both readings.

    Read as big endian, the first element is short, and what follows is the sealed object; its last element swallows
    the rest. Read as little endian, as declared, the first element swallows all of that, and what follows is the
    other patient.
    """
    swapped = scene.folder / "big-endian.dcm"
    tool("dcmconv", "+tb", scene.source, swapped)
    big = swapped.read_bytes()
    body = big[_file(big)[1] :]
    other = scene.sibling.read_bytes()
    meta_length = _file(other)[1]
    rest = other[meta_length:]
    # The length of the first element in both byte orders: high * 256, and high * 65536.
    high = -(-(len(body) + SWALLOWING) // (65536 - 256))
    assert 0 < high < 256
    short, long = high * 256, high * 65536
    first = b"\0\x08\0\x01UN\0\0" + struct.pack("<I", long)
    assert struct.unpack(">I", first[8:])[0] == short
    left = long - short - len(body) - SWALLOWING
    swallow = struct.pack(">HH2s2sI", 0xFFFC, 0xFFFC, b"OB", b"\0\0", left + len(rest))
    target.write_bytes(other[:meta_length] + first + bytes(short) + body + swallow + bytes(left) + rest)


def _fits(dataset: Dataset) -> bool:
    return both(native, explicit_little)(dataset) and len(dataset.PixelData) < 8 << 20


def _reads_another_patient(before: Path, after: Path) -> bool:
    """pydicom, which believes the declaration, sees the other patient."""
    one, two = dcmread(before), dcmread(after)
    return bool(one.PatientID != two.PatientID and one.PixelData != two.PixelData)


def _longer(before: Path, after: Path) -> bool:
    return len(after.read_bytes()) > len(before.read_bytes())


def _bytes(
    name: str,
    person: str,
    edit: BytesEdit,
    *,
    applies: Applies,
    expected: tuple[str, ...] = NOT_GOOD,
    proof: Callable[[Path, Path], bool] = bytes_differ,
    names: tuple[str, ...] = (),
) -> Change:
    return Change(
        name=name, group="readers", person=person, tool="hex editor", applies=both(_is_flat, applies),
        apply=lambda scene, target: with_bytes(scene, target, edit), proof=proof, expected=expected, names=names,
    )  # fmt: skip


CHANGES: tuple[Change, ...] = (
    _bytes(
        "second-patient-id",
        "adds a second Patient ID at the end, for readers that take the last",
        _doubled_at_end(0x00100020, b"SECOND-1"),
        applies=has("PatientID"),
        proof=_longer,
    ),
    _bytes(
        "second-patient-id-beside",
        "adds a second Patient ID beside the first",
        _doubled_beside(0x00100020, b"SECOND-1"),
        applies=has("PatientID"),
        proof=_longer,
    ),
    _bytes(
        "second-rows",
        "adds a second number of rows",
        lambda data: _doubled_beside(0x00280010, b"\x40\0")(data),
        applies=both(image, explicit_little),
        proof=_longer,
    ),
    _bytes(
        "order",
        "puts the name before everything else",
        _moved(0x00100010, 0x00080016),
        applies=has("PatientName"),
    ),
    _bytes(
        "after-pixels",
        "adds a window behind the pixel data",
        _inserted_after_pixels,
        applies=image,
        proof=_longer,
    ),
    _bytes(
        "group-two-again",
        "adds a second transfer syntax inside the data set",
        _group_two_again,
        applies=explicit_little,
        proof=_longer,
    ),
    _bytes("nested-doubled", "has a code say left and right", _nested_doubled, applies=image, proof=_longer),
    _bytes("pixels-twice", "adds a second pixel data", _pixels_twice, applies=native, proof=_longer),
    Change(
        name="second-data-set",
        group="readers",
        person="appends another patient's data set",
        tool="hex editor",
        applies=_is_flat,
        apply=_second_data_set,
        proof=_longer,
        expected=NOT_GOOD,
    ),
    Change(
        name="float-pixels",
        group="readers",
        person="adds float pixel data beside the integer one",
        tool="pydicom",
        applies=both(image, lambda d: "FloatPixelData" not in d),
        apply=_float_beside,
        proof=lambda _, after: "FloatPixelData" in dcmread(after),
        expected=NOT_GOOD,
    ),
    Change(
        name="two-byte-orders",
        group="readers",
        person="builds a file that is the sealed object in big endian and another patient as declared",
        tool="Python",
        applies=_fits,
        apply=_two_readings,
        proof=_reads_another_patient,
        expected=NOT_GOOD,
    ),
    _bytes(
        "vr-us-ss",
        "has an unsigned number read as a signed one",
        _other_vr(0x00280107, b"US", b"SS"),
        applies=both(_with_vr(0x00280107, "US"), lambda d: d[0x00280107].value >= 1 << 15),
    ),
    _bytes(
        "vr-padding",
        "has the padding value read with another sign",
        _other_vr(0x00280120, b"SS", b"US"),
        applies=_with_vr(0x00280120, "SS"),
    ),
    _bytes(
        "vr-fd-sl",
        "has a double read as two integers",
        _other_vr(0x00189345, b"FD", b"SL"),
        applies=_with_vr(0x00189345, "FD"),
    ),
)
