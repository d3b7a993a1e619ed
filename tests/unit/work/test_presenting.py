"""What a viewer on the web is handed: frames cut out of an object are those that pydicom reads."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.encaps import generate_frames
from pydicom.filereader import dcmread
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
    RLELossless,
)

from gateway.dicom.pixels import transcode
from gateway.seal.findings import Report, Verdict
from gateway.spool.cipher import KEY_BYTES, SpoolKey
from gateway.work.handover import SecretFile
from gateway.work.presenting import Told, unpacked
from gateway.work.tasks import FRAMES_APART, Presentation, ReturnTask
from tests.support import objects

NATIVE = [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
ADDRESS = "/dicom-web/studies/1/series/2/instances/3"


def task(folder: Path) -> ReturnTask:
    file = SecretFile(folder / "object", SpoolKey(os.urandom(KEY_BYTES)))
    return ReturnTask(
        file=file,
        target=file.beside("returned"),
        sop_instance="1.2.3",
        study_instance="1.2.1",
        series_instance="1.2.2",
        policy={},
        address=ADDRESS,
    )


def told(folder: Path, report: Report | None = None) -> Told:
    report = report or Report(sop_instance_uid="1.2.3", verdict=Verdict.INTACT)
    return Told(task(folder), str(report.verdict), str(report.verdict), (), report)


def frames(presentation: Presentation, data: bytes, made: Told) -> list[bytes]:
    source = made.task.target.beside(FRAMES_APART).read() if presentation.apart else data
    return [b"".join(source[start:stop] for start, stop in parts) for parts in presentation.frames]


def model(presentation: Presentation) -> dict[str, Any]:
    return dict(json.loads(unpacked(presentation.metadata)))


@pytest.mark.parametrize("syntax", NATIVE, ids=lambda uid: uid.name)
def test_frames_of_native_objects_are_their_samples_in_little_endian(tmp_path: Path, syntax: str) -> None:
    original = objects.multi_frame(frames=3)
    data = transcode(original, syntax)
    made = told(tmp_path)
    presentation = made.presented(data)
    pixels = dcmread(io.BytesIO(original)).PixelData
    size = len(pixels) // 3
    assert frames(presentation, data, made) == [pixels[at : at + size] for at in range(0, 3 * size, size)]
    assert presentation.syntax == syntax


@pytest.mark.parametrize("syntax", [JPEGLSLossless, RLELossless], ids=lambda uid: uid.name)
def test_frames_of_compressed_objects_are_their_codestreams(tmp_path: Path, syntax: str) -> None:
    data = transcode(objects.multi_frame(frames=3), syntax)
    made = told(tmp_path)
    expected = list(generate_frames(dcmread(io.BytesIO(data)).PixelData, number_of_frames=3))
    assert frames(made.presented(data), data, made) == expected


def test_frames_of_one_bit_are_padded_to_bytes(tmp_path: Path) -> None:
    bits = np.random.default_rng(5).integers(0, 2, (3, 5, 5), np.uint8)
    packed = np.packbits(bits, bitorder="little").tobytes()
    data = objects.multi_frame(
        frames=3,
        rows=5,
        columns=5,
        BitsAllocated=1,
        BitsStored=1,
        HighBit=0,
        PixelData=packed + bytes(len(packed) % 2),
    )
    made = told(tmp_path)
    presentation = made.presented(data)
    assert presentation.apart
    assert frames(presentation, data, made) == [
        np.packbits(frame, bitorder="little").tobytes() for frame in bits
    ]


@pytest.mark.parametrize("syntax", NATIVE, ids=lambda uid: uid.name)
def test_metadata_is_the_same_in_every_encoding(tmp_path: Path, syntax: str) -> None:
    original = objects.ct(rows=32, columns=32)
    (tmp_path / "a").mkdir()
    expected = model(told(tmp_path / "a").presented(original))
    found = model(told(tmp_path).presented(transcode(original, syntax)))
    assert found == expected
    assert list(found) == sorted(found)


def test_long_values_have_an_address_and_a_place(tmp_path: Path) -> None:
    document = bytes(range(256)) * 64
    data = objects.report(EncapsulatedDocument=document)
    presentation = told(tmp_path).presented(data)
    assert model(presentation)["00420011"] == {"vr": "OB", "BulkDataURI": f"{ADDRESS}/bulkdata/00420011"}
    start, stop = presentation.bulk[0x00420011]
    assert data[start:stop] == document


def test_a_withheld_object_tells_whose_it_is_only_where_that_is_whole(tmp_path: Path) -> None:
    data = objects.ct(rows=32, columns=32)
    report = Report(
        sop_instance_uid="9.9",
        verdict=Verdict.TAMPERED,
        header_differences=(
            {
                "class": "description",
                "keyword": "StudyDescription",
                "hidden": None,
                "sealed": "A",
                "header": "B",
            },
        ),
        tampered_tiles=((0, 0, 0, 32, 32),),
    )
    presentation = told(tmp_path, report).withheld(data)
    shown = model(presentation)
    assert shown["00100020"]["Value"] == [dcmread(io.BytesIO(data)).PatientID]
    assert shown["00080018"]["Value"] == ["1.2.3"]
    assert shown["0020000E"]["Value"] == ["1.2.2"]
    assert shown["00991003"]["Value"] == ["[[0,0,0,32,32]]"]
    assert not {"7FE00010", "00281050"} & shown.keys()
    assert presentation.frames == ()
    (difference,) = json.loads(unpacked(presentation.report))["header_differences"]
    assert difference == {"class": "description", "keyword": "StudyDescription"}

    other = {"class": "identity", "keyword": "PatientID", "hidden": "1", "sealed": "1", "header": "2"}
    both = Report(sop_instance_uid="9.9", verdict=Verdict.TAMPERED, header_differences=(other,))
    for wrong in (both, Report(sop_instance_uid="9.9", verdict=Verdict.MISIDENTIFIED)):
        shown = model(told(tmp_path, wrong).withheld(data))
        assert not {"00100010", "00100020", "00100030"} & shown.keys()


def test_bytes_that_are_no_object_still_have_a_name(tmp_path: Path) -> None:
    report = Report(sop_instance_uid="", verdict=Verdict.UNREADABLE)
    shown = model(told(tmp_path, report).withheld(b"nonsense"))
    assert shown["0020000D"]["Value"] == ["1.2.1"]
    assert shown["00991001"]["Value"] == ["unreadable"]
