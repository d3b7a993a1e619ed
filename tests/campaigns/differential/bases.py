"""The good files that the campaign begins with: of every pixel layout, character set and depth, as they are and sealed."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from dataclasses import dataclass

import imagecodecs
import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import (
    ComprehensiveSRStorage,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    ParametricMapStorage,
    RLELossless,
    SegmentationStorage,
)

from gateway.dicom.pixels import transcode
from tests.campaigns.differential.grammar import Draft, draft_of
from tests.support import objects
from tests.support.desk import Desk

EDGE = 16


@dataclass(frozen=True)
class Base:
    """name; the file before sealing and after, and the sealed one as a tree."""

    name: str
    plain: bytes
    sealed: bytes

    def draft(self, *, sealed: bool) -> Draft:
        return draft_of(self.sealed if sealed else self.plain)


def bases(desk: Desk) -> list[Base]:
    """Every kind of object, sealed at the level it gets."""
    made: list[Base] = []
    for name, build in BUILDERS.items():
        plain = build()
        sealed, result = desk.seal(plain)
        assert result.level != "pass", f"{name}: {result.reason}"
        made.append(Base(name, plain, sealed))
    return made


def _changed(data: bytes, change: Callable[[Dataset], None]) -> bytes:
    dataset = dcmread(io.BytesIO(data))
    change(dataset)
    out = io.BytesIO()
    dataset.save_as(out)
    return out.getvalue()


def _code(value: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "DCM", "A meaning"
    return item


def _rich(dataset: Dataset) -> None:
    """Elements of every VR, sequences in sequences, private blocks, an overlay, an icon."""
    request = Dataset()
    request.ScheduledProcedureStepID = "STEP 1"
    request.RequestedProcedureDescription = "Thorax"
    request.ScheduledProtocolCodeSequence = Sequence([_code("111"), _code("222")])
    dataset.RequestAttributesSequence = Sequence([request])
    other = Dataset()
    other.PatientID, other.IssuerOfPatientID = "OTHER-1", "ELSEWHERE"
    dataset.OtherPatientIDsSequence = Sequence([other])
    first, second = Dataset(), Dataset()
    for item, uid in ((first, "2.25.11"), (second, "2.25.12")):
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = dataset.SOPClassUID, uid
    dataset.ReferencedImageSequence = Sequence([first, second])
    dataset.AnatomicRegionSequence = Sequence([_code("T-D3000")])
    dataset.PatientWeight, dataset.PatientSize = "71.50", "1.8"
    dataset.PatientComments = "line one\r\nline two"
    dataset.add_new(0x00280009, "AT", [0x00181063])
    dataset.add_new(0x00189073, "FD", 12.5)
    dataset.add_new(0x00189309, "FD", 1.25)
    dataset.add_new(0x00189461, "FL", [1.5, 2.5])
    dataset.add_new(0x0018602C, "FD", 0.5)
    dataset.add_new(0x00080119, "UC", "Long code")
    dataset.add_new(0x00081190, "UR", "http://pacs.example/x")
    dataset.add_new(0x00186020, "SL", -5)
    dataset.WindowCenter, dataset.WindowWidth = ["40", "50.5"], ["400", "500"]
    dataset.ImagePositionPatient = ["-1.5", "0", "1e2"]
    dataset.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
    private = dataset.private_block(0x0009, "ACME 1.0", create=True)
    private.add_new(0x01, "LO", "private text")
    private.add_new(0x02, "SQ", Sequence([_code("333")]))
    private.add_new(0x03, "UN", b"\1\2\3\4")
    private.add_new(0x04, "DS", "1.5")
    if "PixelData" in dataset:
        dataset.add_new(0x60000010, "US", 8)
        dataset.add_new(0x60000011, "US", 16)
        dataset.add_new(0x60000040, "CS", "G")
        dataset.add_new(0x60000050, "SS", [1, 1])
        dataset.add_new(0x60000100, "US", 1)
        dataset.add_new(0x60000102, "US", 0)
        dataset.add_new(0x60003000, "OW", bytes(range(16)))
        icon = Dataset()
        icon.SamplesPerPixel, icon.PhotometricInterpretation, icon.Rows, icon.Columns = 1, "MONOCHROME2", 2, 2
        icon.BitsAllocated, icon.BitsStored, icon.HighBit, icon.PixelRepresentation = 8, 8, 7, 0
        icon.add_new(0x7FE00010, "OB", b"\1\2\3\4")
        dataset.IconImageSequence = Sequence([icon])
    if "PixelData" in dataset and "RescaleSlope" not in dataset:
        table = Dataset()
        table.LUTDescriptor = [4, 0, 16]
        table["LUTDescriptor"].VR = "US"
        table.ModalityLUTType = "US"
        table.add_new(0x00283006, "OW", struct.pack("<4H", 1, 2, 3, 4))
        dataset.ModalityLUTSequence = Sequence([table])


def _ct() -> bytes:
    return _changed(objects.ct(rows=EDGE, columns=EDGE), _rich)


def _mr() -> bytes:
    return _changed(
        objects.mr(rows=EDGE, columns=EDGE, SpecificCharacterSet="ISO_IR 100", PatientName="Åsa^Øre"), _rich
    )


def _texts(charset: str | list[str], name: str, city: str) -> bytes:
    def change(dataset: Dataset) -> None:
        dataset.SpecificCharacterSet = charset
        dataset.PatientName = name
        dataset.InstitutionName = city
        dataset.PatientComments = city
        _rich(dataset)

    return _changed(objects.report(SpecificCharacterSet="ISO_IR 6", PatientName=""), change)


def _multi_frame() -> bytes:
    def change(dataset: Dataset) -> None:
        _rich(dataset)
        frames = []
        for number in range(4):
            content, plane, item = Dataset(), Dataset(), Dataset()
            content.DimensionIndexValues = [1, number + 1]
            plane.ImagePositionPatient = ["0", "0", str(number)]
            item.FrameContentSequence = Sequence([content])
            item.PlanePositionSequence = Sequence([plane])
            frames.append(item)
        dataset.PerFrameFunctionalGroupsSequence = Sequence(frames)

    return _changed(objects.multi_frame(frames=4, rows=EDGE, columns=EDGE), change)


def _structured_report() -> bytes:
    def change(dataset: Dataset) -> None:
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = ComprehensiveSRStorage
        del dataset.EncapsulatedDocument, dataset.MIMETypeOfEncapsulatedDocument
        leaf = Dataset()
        leaf.RelationshipType, leaf.ValueType, leaf.TextValue = "CONTAINS", "TEXT", "Nothing found"
        leaf.ConceptNameCodeSequence = Sequence([_code("121071")])
        inner = Dataset()
        inner.RelationshipType, inner.ValueType = "CONTAINS", "CONTAINER"
        inner.ContentSequence = Sequence([leaf])
        dataset.ContentSequence = Sequence([inner, leaf])
        _rich(dataset)

    return _changed(objects.report(), change)


def _jpeg() -> bytes:
    def change(dataset: Dataset) -> None:
        frames = [
            imagecodecs.jpeg8_encode(objects.picture(EDGE, EDGE, 0, 255, seed).astype("u1")) for seed in range(3)
        ]
        dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
        dataset.NumberOfFrames = 3
        dataset.BitsAllocated = dataset.BitsStored = 8
        dataset.HighBit = 7
        dataset.PixelData = encapsulate([frame + b"\0" * (len(frame) % 2) for frame in frames])
        dataset["PixelData"].VR = "OB"
        dataset["PixelData"].is_undefined_length = True

    return _changed(objects.ct(rows=EDGE, columns=EDGE), change)


def _segmentation() -> bytes:
    def change(dataset: Dataset) -> None:
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = SegmentationStorage
        dataset.Modality = "SEG"
        dataset.BitsAllocated = dataset.BitsStored = 1
        dataset.HighBit, dataset.NumberOfFrames = 0, 2
        dataset.PixelData = bytes(range(64))
        dataset["PixelData"].VR = "OB"

    return _changed(objects.ct(rows=EDGE, columns=EDGE), change)


def _parametric_map() -> bytes:
    def change(dataset: Dataset) -> None:
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = ParametricMapStorage
        for keyword in ("PixelData", "BitsStored", "HighBit", "PixelRepresentation"):
            delattr(dataset, keyword)
        dataset.BitsAllocated = 32
        dataset.add_new(0x7FE00008, "OF", np.arange(256, dtype="<f4").tobytes())

    return _changed(objects.ct(rows=EDGE, columns=EDGE), change)


def _palette() -> bytes:
    def change(dataset: Dataset) -> None:
        dataset.PhotometricInterpretation = "PALETTE COLOR"
        dataset.BitsAllocated = dataset.BitsStored = 8
        dataset.HighBit = 7
        dataset.PixelData = bytes(range(256))
        dataset["PixelData"].VR = "OB"
        for tag in (0x00281101, 0x00281102, 0x00281103):
            dataset.add_new(tag, "US", [256, 0, 16])
            dataset.add_new(tag + 0x100, "OW", np.arange(256, dtype="<u2").tobytes())

    return _changed(objects.ct(rows=EDGE, columns=EDGE), change)


BUILDERS: dict[str, Callable[[], bytes]] = {
    "ct": _ct,
    "mr": _mr,
    "signed": lambda: objects.signed_ct(rows=EDGE, columns=EDGE),
    "colour": lambda: objects.fundus(rows=EDGE, columns=EDGE),
    "full": lambda: objects.ct(rows=48, columns=48),
    "multi-frame": _multi_frame,
    "report": objects.report,
    "structured": _structured_report,
    "japanese": lambda: _texts(["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう", "東京"),
    "half-width": lambda: _texts("ISO_IR 13", "ﾔﾏﾀﾞ^ﾀﾛｳ", "ﾄｳｷｮｳ"),
    "korean": lambda: _texts(["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동", "서울"),
    "chinese": lambda: _texts("GB18030", "Wang^XiaoDong=王^小东", "北京"),
    "gbk": lambda: _texts("GBK", "Wang^XiaoDong=王^小东", "北京"),
    "russian": lambda: _texts("ISO_IR 144", "Люкceмбypг", "Москва"),
    "utf-8": lambda: _texts("ISO_IR 192", "Wang^XiaoDong=王^小東=", "Köln"),
    "rle": lambda: transcode(_ct(), RLELossless),
    "jpeg-ls": lambda: transcode(_mr(), JPEGLSLossless),
    "jpeg-2000": lambda: transcode(_ct(), JPEG2000Lossless),
    "rle-frames": lambda: transcode(_multi_frame(), RLELossless),
    "jpeg-ls-frames": lambda: transcode(_multi_frame(), JPEGLSLossless),
    "jpeg": _jpeg,
    "segmentation": _segmentation,
    "parametric-map": _parametric_map,
    "palette": _palette,
}
