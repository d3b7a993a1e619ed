"""The verdict on a changed header: by the class of the element, with its name, and its value for who has the key."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence as ItemSequence
from pydicom.uid import CTImageStorage, JPEGBaseline8Bit, MRImageStorage

from gateway.dicom.elements import EXPLICIT_LE, encode
from gateway.dicom.part10 import read
from gateway.dicom.pixels import transcode
from gateway.dicom.syntaxes import EXPLICIT_VR_BE, IMPLICIT_VR_LE
from gateway.dicom.tags import PIXEL_DATA
from gateway.seal.block import private_block
from gateway.seal.findings import GOOD, Report, Verdict
from gateway.seal.header.classes import HeaderClasses, moved
from gateway.seal.verifying import verify
from tests.support import objects
from tests.support.desk import Desk

ACME = 0x00090010


def items(*values: str) -> ItemSequence:
    contents = []
    for value in values:
        inside = Dataset()
        inside.ReferencedSOPClassUID, inside.ReferencedSOPInstanceUID = "1.2", value
        contents.append(inside)
    return ItemSequence(contents)


def frame_groups(*spacings: str) -> ItemSequence:
    contents = []
    for spacing in spacings:
        measures, group = Dataset(), Dataset()
        measures.PixelSpacing = [spacing, spacing]
        group.PixelMeasuresSequence = ItemSequence([measures])
        contents.append(group)
    return ItemSequence(contents)


def with_private(data: bytes) -> bytes:
    file = read(data)
    return file.edited(
        {
            ACME: encode(ACME, b"LO", b"ACME", EXPLICIT_LE),
            0x00091001: encode(0x00091001, b"DS", b"1.5", EXPLICIT_LE),
        }
    )


@pytest.fixture(scope="module")
def original() -> bytes:
    return with_private(
        objects.ct(
            rows=128,
            columns=128,
            WindowCenter="40",
            WindowWidth="400",
            StudyDescription="Thorax",
            PatientWeight="70",
            ReferencedImageSequence=items("1.2.3", "1.2.4"),
            StationName="A",
            NumberOfStudyRelatedInstances="3",
        )
    )


@pytest.fixture(scope="module")
def sealed(desk: Desk, original: bytes) -> bytes:
    data, result = desk.seal(original)
    assert result.level == "full"
    return data


@pytest.fixture(scope="module")
def many(desk: Desk) -> bytes:
    data, result = desk.seal(
        objects.multi_frame(PerFrameFunctionalGroupsSequence=frame_groups("0.5", "0.5", "0.5", "0.5"))
    )
    assert result.level == "full"
    return data


def changed(data: bytes, **elements: object) -> bytes:
    """None removes an element."""
    dataset = pydicom.dcmread(io.BytesIO(data))
    for keyword, value in elements.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    out = io.BytesIO()
    dataset.save_as(out)
    return out.getvalue()


def verified(desk: Desk, data: bytes, classes: HeaderClasses) -> Report:
    return verify(data, trusted=desk.trusted, recipient_key=None, codec=desk.codec, classes=classes)


CASES = [
    ("PatientID", "X", "identity", Verdict.MISIDENTIFIED, "SYN-00000", "X"),
    ("StudyInstanceUID", "1.2.9", "identity", Verdict.MISIDENTIFIED, objects.uid("study", 0), "1.2.9"),
    ("SOPClassUID", MRImageStorage, "structure", Verdict.TAMPERED, CTImageStorage, MRImageStorage),
    ("WindowCenter", "41", "rendering", Verdict.ALTERED, "40", "41"),
    ("PixelSpacing", ["0.5", "0.6"], "geometry", Verdict.ALTERED, "0.5\\0.5", "0.5\\0.6"),
    ("RescaleSlope", "1.01", "quantity", Verdict.ALTERED, "1", "1.01"),
    ("PatientWeight", None, "quantity", Verdict.ALTERED, "70", ""),
    ("PatientSize", "1.8", "quantity", Verdict.ALTERED, "", "1.8"),
    ("StudyDate", "20240301", "context", Verdict.ALTERED, "20240229", "20240301"),
    ("Modality", "MR", "context", Verdict.ALTERED, "CT", "MR"),
    ("StationName", "B", "context", Verdict.ALTERED, "A", "B"),
    ("StudyDescription", "Abdomen", "description", Verdict.INTACT, "Thorax", "Abdomen"),
    ("ReferringPhysicianName", "B^C", "description", Verdict.INTACT, "", "B^C"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("keyword", "value", "header_class", "verdict", "before", "after"), CASES, ids=[case[0] for case in CASES]
)
@pytest.mark.parametrize("syntax", ["", IMPLICIT_VR_LE, EXPLICIT_VR_BE])
def test_a_difference_has_its_verdict_class_and_name(
    desk: Desk,
    sealed: bytes,
    keyword: str,
    value: object,
    header_class: str,
    verdict: Verdict,
    before: str,
    after: str,
    syntax: str,
) -> None:
    data = changed(sealed, **{keyword: value})
    if syntax:
        data = transcode(data, syntax)
    expected = Verdict.TRANSCODED if syntax and verdict is Verdict.INTACT else verdict
    with_key, without = desk.verify(data), desk.verify(data, with_key=False)
    assert (with_key.verdict, without.verdict) == (expected, expected)
    [known], [named] = with_key.header_differences, without.header_differences
    for difference in (known, named):
        assert (difference["keyword"], difference["class"]) == (keyword, header_class)
        assert difference["header"] == after
    assert known["sealed"] == known["hidden"] == before
    # The statement names the SOP Class and Instance in clear.
    assert named["sealed"] == (before if keyword == "SOPClassUID" else None)


def test_the_worst_difference_decides(desk: Desk, sealed: bytes) -> None:
    data = changed(sealed, StudyDescription="X", WindowCenter="41")
    assert desk.verify(data).verdict is Verdict.ALTERED
    data = changed(data, PatientID="X")
    assert desk.verify(data).verdict is Verdict.MISIDENTIFIED
    report = desk.verify(changed(data, SOPClassUID="1.2"))
    assert report.verdict is Verdict.TAMPERED
    assert len(report.header_differences) == 4


@pytest.mark.parametrize(
    "keyword", ["NumberOfStudyRelatedInstances", "RetrieveAETitle", "InstanceAvailability"]
)
def test_what_archives_count_is_nothing(desk: Desk, sealed: bytes, keyword: str) -> None:
    value = {
        "NumberOfStudyRelatedInstances": "9",
        "RetrieveAETitle": "PACS",
        "InstanceAvailability": "ONLINE",
    }
    report = desk.verify(changed(sealed, **{keyword: value[keyword]}))
    assert report.verdict is Verdict.INTACT
    assert report.header_differences == ()


def test_a_difference_within_a_sequence_has_a_path(desk: Desk, sealed: bytes) -> None:
    data = changed(sealed, ReferencedImageSequence=items("1.2.3", "1.2.5", "1.2.6"))
    report = desk.verify(data)
    assert report.verdict is Verdict.ALTERED
    places = [(entry["path"], entry["sealed"], entry["header"]) for entry in report.header_differences]
    assert places == [
        ("ReferencedImageSequence[2].ReferencedSOPInstanceUID", "1.2.4", "1.2.5"),
        ("ReferencedImageSequence[3]", "", "item"),
    ]
    [plain] = desk.verify(data, with_key=False).header_differences
    assert "path" not in plain
    assert plain["header"] == "3 items"


def test_changed_frames_are_named(desk: Desk, many: bytes) -> None:
    data = changed(many, PerFrameFunctionalGroupsSequence=frame_groups("0.5", "0.6", "0.5", "0.7"))
    for with_key in (True, False):
        report = desk.verify(data, with_key=with_key)
        assert report.verdict is Verdict.ALTERED
        assert {entry["keyword"] for entry in report.header_differences} == {
            "PerFrameFunctionalGroupsSequence"
        }
        assert all(entry["frames"] == [1, 3] for entry in report.header_differences)
    report = desk.verify(data)
    assert [entry["path"] for entry in report.header_differences] == [
        f"PerFrameFunctionalGroupsSequence[{number}].PixelMeasuresSequence[1].PixelSpacing"
        for number in (2, 4)
    ]


def test_frames_that_are_gone_are_named(desk: Desk, many: bytes) -> None:
    [gone] = desk.verify(
        changed(many, PerFrameFunctionalGroupsSequence=None), with_key=False
    ).header_differences
    assert gone["frames"] == [0, 1, 2, 3]
    data = changed(many, PerFrameFunctionalGroupsSequence=frame_groups("0.5", "0.5"))
    [fewer] = desk.verify(data, with_key=False).header_differences
    assert fewer["frames"] == [2, 3]


def _private(value: bytes) -> Callable[[bytes], bytes]:
    def edit(data: bytes) -> bytes:
        return read(data).edited({0x00091001: encode(0x00091001, b"DS", value, EXPLICIT_LE)})

    return edit


def _private_gone(data: bytes) -> bytes:
    return read(data).edited({ACME: None, 0x00091001: None})


def _foreign_block(data: bytes) -> bytes:
    block = {0x00110010: encode(0x00110010, b"LO", b"OTHER", EXPLICIT_LE)}
    return read(data).edited(block | {0x00111001: encode(0x00111001, b"LO", b"X", EXPLICIT_LE)})


@pytest.mark.parametrize(
    ("edit", "name"),
    [(_private(b"1.6"), "(0009,ACME)"), (_private_gone, "(0009,ACME)"), (_foreign_block, "(0011,OTHER)")],
)
@pytest.mark.parametrize("with_key", [True, False])
def test_private_blocks_are_only_listed(
    desk: Desk, sealed: bytes, edit: Callable[[bytes], bytes], name: str, with_key: bool
) -> None:
    report = desk.verify(edit(sealed), with_key=with_key)
    assert report.verdict is Verdict.INTACT
    assert [(entry["keyword"], entry["class"]) for entry in report.header_differences] == [
        (name, "description")
    ]


def test_an_element_that_the_dictionary_does_not_know_is_listed(desk: Desk, sealed: bytes) -> None:
    data = read(sealed).edited({0x00189FFE: encode(0x00189FFE, b"LO", b"X", EXPLICIT_LE)})
    report = desk.verify(data)
    assert report.verdict is Verdict.INTACT
    assert report.header_differences[0]["keyword"] == "(0018,9FFE)"


def test_a_site_decides_what_a_difference_means(desk: Desk, sealed: bytes) -> None:
    classes = moved({"StudyDescription": "identity", "WindowCenter": "description", "0009,ACME": "quantity"})
    data = changed(sealed, StudyDescription="X")
    assert verified(desk, data, classes).verdict is Verdict.MISIDENTIFIED
    data = changed(sealed, WindowCenter="41")
    assert verified(desk, data, classes).verdict is Verdict.INTACT
    assert verified(desk, _private(b"1.6")(sealed), classes).verdict is Verdict.ALTERED
    nothing = moved({"WindowCenter": "bookkeeping"})
    assert verified(desk, data, nothing).header_differences == ()


@pytest.mark.parametrize(
    ("transform", "charset"),
    [(lambda data: data, "ISO_IR 192"), (lambda data: transcode(data, IMPLICIT_VR_LE), "ISO_IR 100")],
)
def test_another_character_set_is_no_difference(
    desk: Desk, sealed: bytes, transform: Callable[[bytes], bytes], charset: str
) -> None:
    assert desk.verify(transform(changed(sealed, SpecificCharacterSet=charset))).verdict in GOOD


def test_a_label_without_its_character_set_is_a_difference(desk: Desk, sealed: bytes) -> None:
    data = read(sealed).edited({0x00080005: encode(0x00080005, b"CS", b"ISO_IR 100", EXPLICIT_LE)})
    report = desk.verify(data, with_key=False)
    assert report.verdict is Verdict.MISIDENTIFIED
    assert [entry["keyword"] for entry in report.header_differences] == ["PatientName"]


# ---- lossy copies


def lossy(data: bytes, shown: bytes | None = None) -> bytes:
    """What a JPEG compressor makes of an object: 8 bits, quality 75."""
    dataset = pydicom.dcmread(io.BytesIO(data))
    source = dataset if shown is None else pydicom.dcmread(io.BytesIO(shown))
    pixels = (source.pixel_array >> 4).clip(0, 255).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=75)
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit = 7
    dataset.LossyImageCompression = "01"
    dataset.PixelData = encapsulate([stream.getvalue()])
    dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    out = io.BytesIO()
    dataset.save_as(out)
    return out.getvalue()


@pytest.fixture(scope="module")
def faithful(desk: Desk) -> bytes:
    data, result = desk.seal(objects.ct(), profile="fidelity")
    assert result.level == "full"
    return data


@pytest.mark.parametrize("with_key", [True, False])
def test_a_lossy_copy_is_told_by_its_likeness(desk: Desk, faithful: bytes, with_key: bool) -> None:
    report = desk.verify(lossy(faithful), with_key=with_key)
    assert report.verdict is Verdict.LOSSY
    assert any(check.n == 10 and check.ok for check in report.checks)


@pytest.mark.parametrize("with_key", [True, False])
def test_another_image_does_not_pass_for_a_lossy_copy(desk: Desk, faithful: bytes, with_key: bool) -> None:
    other = pydicom.dcmread(io.BytesIO(objects.ct(seed=5)))
    other.PixelData = np.roll(other.pixel_array, (128, 128), axis=(0, 1)).tobytes()
    out = io.BytesIO()
    other.save_as(out)
    report = desk.verify(lossy(faithful, out.getvalue()), with_key=with_key)
    assert report.verdict is Verdict.TAMPERED


def test_a_lossy_copy_of_another_patient_is_misidentified(desk: Desk, faithful: bytes) -> None:
    assert (
        desk.verify(changed(lossy(faithful), PatientID="X"), with_key=False).verdict is Verdict.MISIDENTIFIED
    )
    assert (
        desk.verify(changed(lossy(faithful), PixelSpacing=["1", "1"]), with_key=False).verdict
        is Verdict.ALTERED
    )


@pytest.mark.parametrize("with_key", [True, False])
def test_the_payload_of_another_sealing_is_no_compression(
    desk: Desk, faithful: bytes, with_key: bool
) -> None:
    """The same image sealed twice: pixels of the one, block of the other."""
    other, _ = desk.seal(objects.ct(), profile="fidelity")
    pixels = read(other).value(PIXEL_DATA) or b""
    data = read(faithful).edited({PIXEL_DATA: encode(PIXEL_DATA, b"OW", pixels, EXPLICIT_LE)})
    assert desk.verify(data, with_key=with_key).verdict is Verdict.TAMPERED


# ---- one reading


@pytest.mark.parametrize(
    ("tag", "vr", "value"),
    [
        (0x00091001, b"XX", b"1.5 "),
        (0x00100020, b"LO", b"SYN-00000\0x\0"),
        (0x00020010, b"UI", b"1.2.840.10008.1.2"),
    ],
    ids=["vr", "zero-byte", "group-2"],
)
@pytest.mark.parametrize("with_key", [True, False])
def test_a_sealed_object_that_can_be_read_in_two_ways_is_tampered_with(
    desk: Desk, sealed: bytes, tag: int, vr: bytes, value: bytes, with_key: bool
) -> None:
    report = desk.verify(read(sealed).edited({tag: encode(tag, vr, value, EXPLICIT_LE)}), with_key=with_key)
    assert report.verdict is Verdict.TAMPERED
    assert next(check.n for check in report.checks if not check.ok) == 0


def test_a_header_as_received_of_another_object_does_not_open(
    desk: Desk, sealed: bytes, original: bytes
) -> None:
    other, _ = desk.seal(original)
    block = private_block.find(read(other))
    assert block is not None
    edits = private_block.edits(block, read(original))
    received = next(new for tag, new in edits.items() if tag & 0xFF == 0x41 and tag & 0xFF00)
    data = read(sealed).edited({0x00711041: received})
    report = desk.verify(data)
    assert report.verdict is Verdict.TAMPERED
    assert next(check.n for check in report.checks if not check.ok) == 2
