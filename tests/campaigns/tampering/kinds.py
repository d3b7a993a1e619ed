"""The objects that are sealed and then changed: one of each kind."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.errors import InvalidDicomError
from pydicom.filereader import dcmread
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    BasicTextSRStorage,
    DigitalXRayImageStorageForPresentation,
    EnhancedMRImageStorage,
    ExplicitVRBigEndian,
    GrayscaleSoftcopyPresentationStateStorage,
    JPEGBaseline8Bit,
    PositronEmissionTomographyImageStorage,
    RTDoseStorage,
    RTPlanStorage,
    RTStructureSetStorage,
    SegmentationStorage,
    TwelveLeadECGWaveformStorage,
    generate_uid,
)

from gateway.dicom.syntaxes import syntax_of
from tests.support import objects
from tests.support.data import COLLECTION, collection, shipped

# Files of the pydicom package that are whole and of kinds that the builders below lack.
SHIPPED = (
    "CT_small.dcm",
    "MR_small.dcm",
    "MR_small_bigendian.dcm",
    "MR_small_implicit.dcm",
    "MR_small_RLE.dcm",
    "MR_small_jp2klossless.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
    "JPEG2000.dcm",
    "SC_rgb_jpeg_dcmtk.dcm",
    "SC_ybr_full_422_uncompressed.dcm",
    "examples_palette.dcm",
    "examples_overlay.dcm",
    "examples_rgb_color.dcm",
    "image_dfl.dcm",
    "liver_1frame.dcm",
    "rtdose.dcm",
    "rtplan.dcm",
    "rtstruct.dcm",
    "test-SR.dcm",
    "waveform_ecg.dcm",
)
# Larger files take minutes for all their changes, and show nothing else.
LARGEST = 1 << 20
BIG_ENDIAN = str(ExplicitVRBigEndian)
GEOMETRY: dict[str, Any] = {
    "ImagePositionPatient": ["-100", "-100", "12.5"],
    "ImageOrientationPatient": ["1", "0", "0", "0", "1", "0"],
    "FrameOfReferenceUID": objects.uid("frame of reference"),
    "SliceThickness": "2.5",
    "SpacingBetweenSlices": "2.5",
    "SliceLocation": "12.5",
    "PatientPosition": "HFS",
    "SeriesDate": "20240229",
    "ContentTime": "101700",
    "AcquisitionDate": "20240229",
    "BodyPartExamined": "CHEST",
    "PatientAge": "054Y",
    "PatientWeight": "71",
}


def synthetic() -> dict[str, bytes]:
    """Name -> object, of every kind that can be built here. Small: for the short form."""
    window: dict[str, Any] = {"WindowCenter": "40", "WindowWidth": "400"}
    return {
        "ct": objects.ct(rows=128, columns=160, **GEOMETRY, **window, KVP="120", CTDIvol=1234567.0),
        "signed ct": objects.signed_ct(rows=128, columns=128, **GEOMETRY),
        "mr": objects.mr(rows=128, columns=128, **GEOMETRY, EchoTime="90", LargestImagePixelValue=65000),
        "fundus": objects.fundus(rows=128, columns=128),
        "loop": objects.multi_frame(frames=4, rows=96, columns=96),
        "enhanced mr": enhanced(),
        "pet": pet(),
        "dose": dose(),
        "segmentation": segmentation(),
        "palette": palette(),
        "jpeg loop": jpeg_loop(),
        "report": report(),
        "presentation state": presentation_state(),
        "document": objects.report(seed=12),
        "radiograph": radiograph(),
        "mr big endian": objects.as_file(
            _words_swapped(_read(objects.mr(rows=96, columns=96, seed=14))), BIG_ENDIAN
        ),
        "small ct": objects.ct(rows=64, columns=64, seed=15),
        "structures": structures(),
        "plan": plan(),
        "ecg": ecg(),
    }


def enhanced() -> bytes:
    """Four frames with functional groups."""
    dataset = _read(objects.multi_frame(frames=4, rows=96, columns=96, seed=3))
    measures, orientation = Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = ["0.5", "0.5"], "3"
    orientation.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
    shared = Dataset()
    shared.PixelMeasuresSequence = Sequence([measures])
    shared.PlaneOrientationSequence = Sequence([orientation])
    dataset.SharedFunctionalGroupsSequence = Sequence([shared])
    groups = []
    for number in range(4):
        position, content, group = Dataset(), Dataset(), Dataset()
        position.ImagePositionPatient = ["-100", "-100", str(3 * number)]
        content.InStackPositionNumber = number + 1
        group.PlanePositionSequence = Sequence([position])
        group.FrameContentSequence = Sequence([content])
        groups.append(group)
    dataset.PerFrameFunctionalGroupsSequence = Sequence(groups)
    assert dataset.SOPClassUID == EnhancedMRImageStorage
    return objects.as_file(dataset)


def pet() -> bytes:
    """Uptake in becquerels for each millilitre, with what SUV is computed from."""
    dataset = _read(objects.mr(rows=96, columns=96, seed=5, **GEOMETRY))
    dataset.SOPClassUID, dataset.Modality = PositronEmissionTomographyImageStorage, "PT"
    dataset.RescaleSlope, dataset.RescaleIntercept = "1.25", "0"
    dataset.Units, dataset.DecayCorrection = "BQML", "START"
    dataset.CorrectedImage, dataset.DoseCalibrationFactor = ["DECY", "ATTN"], "1"
    tracer = Dataset()
    tracer.RadionuclideTotalDose, tracer.RadionuclideHalfLife = "370000000", "6586.2"
    tracer.RadiopharmaceuticalStartTime = "091500"
    dataset.RadiopharmaceuticalInformationSequence = Sequence([tracer])
    return objects.as_file(dataset)


def dose() -> bytes:
    """A dose of three planes."""
    dataset = _read(objects.multi_frame(frames=3, rows=48, columns=48, seed=6))
    dataset.SOPClassUID, dataset.Modality = RTDoseStorage, "RTDOSE"
    dataset.DoseUnits, dataset.DoseType, dataset.DoseSummationType = "GY", "PHYSICAL", "PLAN"
    dataset.DoseGridScaling = "0.0001234567"
    dataset.GridFrameOffsetVector = ["0", "3", "6"]
    dataset.ImagePositionPatient = ["-10", "-10", "0"]
    dataset.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
    return objects.as_file(dataset)


def segmentation() -> bytes:
    """Two fractional segments."""
    dataset = _read(objects.multi_frame(frames=2, rows=48, columns=48, seed=7))
    pixels = np.frombuffer(dataset.PixelData, "<u2") >> 4
    dataset.SOPClassUID, dataset.Modality, dataset.SegmentationType = SegmentationStorage, "SEG", "FRACTIONAL"
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit = 7
    dataset.PixelData = pixels.astype("u1").tobytes()
    dataset["PixelData"].VR = "OB"
    segments = []
    for number, label in enumerate(("tumour", "liver"), 1):
        segment, code = Dataset(), Dataset()
        code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "108369006", "SCT", label
        segment.SegmentNumber, segment.SegmentLabel = number, label
        segment.SegmentedPropertyTypeCodeSequence = Sequence([code])
        segments.append(segment)
    dataset.SegmentSequence = Sequence(segments)
    return objects.as_file(dataset)


def palette() -> bytes:
    """8-bit indices into a table of colours."""
    dataset = _read(objects.mr(rows=64, columns=64, seed=8))
    indices = (np.frombuffer(dataset.PixelData, "<u2") >> 3).clip(0, 255)
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit = 7
    dataset.PixelData = indices.astype("u1").tobytes()
    dataset["PixelData"].VR = "OB"
    dataset.PhotometricInterpretation = "PALETTE COLOR"
    ramp = np.arange(256, dtype="<u2") << 8
    for colour, table in (("Red", ramp), ("Green", ramp[::-1]), ("Blue", ramp // 2)):
        place = ("Red", "Green", "Blue").index(colour)
        dataset.add_new(0x00281101 + place, "US", [256, 0, 16])
        dataset.add_new(0x00281201 + place, "OW", table.tobytes())
    return objects.as_file(dataset)


def jpeg_loop() -> bytes:
    """Three frames, compressed with loss before they came: only a digest is put on them."""
    source = _read(shipped("SC_rgb_jpeg_dcmtk.dcm").read_bytes())
    from pydicom.encaps import generate_frames

    (frame,) = generate_frames(source.PixelData, number_of_frames=1)
    source.NumberOfFrames = 3
    comments = [frame[:2] + b"\xff\xfe\0\x04" + bytes([65, number]) + frame[2:] for number in (66, 67, 68)]
    source.PixelData = encapsulate([part + b"\0" * (len(part) % 2) for part in comments])
    source["PixelData"].is_undefined_length = True
    source.PatientID, source.PatientName = "SYN-00009", "Loop^Jpeg"
    assert source.file_meta.TransferSyntaxUID == JPEGBaseline8Bit
    return _written(source)


def report() -> bytes:
    """A structured report with a finding and a measurement."""
    dataset = _without_document("SR", BasicTextSRStorage, seed=9)
    dataset.CompletionFlag, dataset.VerificationFlag, dataset.ValueType = (
        "COMPLETE",
        "UNVERIFIED",
        "CONTAINER",
    )
    finding, number, value = Dataset(), Dataset(), Dataset()
    finding.RelationshipType, finding.ValueType, finding.TextValue = "CONTAINS", "TEXT", "A lesion of 12 mm."
    value.NumericValue = "12.5"
    number.RelationshipType, number.ValueType = "CONTAINS", "NUM"
    number.MeasuredValueSequence = Sequence([value])
    dataset.ContentSequence = Sequence([finding, number])
    return objects.as_file(dataset)


def presentation_state() -> bytes:
    """How an image is to be shown, with a text."""
    dataset = _without_document("PR", GrayscaleSoftcopyPresentationStateStorage, seed=10)
    dataset.ContentLabel, dataset.PresentationLUTShape = "READING", "IDENTITY"
    return objects.as_file(dataset)


def radiograph() -> bytes:
    """Inverted, with the spacing of the detector only, and an overlay."""
    dataset = _read(objects.mr(rows=128, columns=96, seed=13))
    dataset.SOPClassUID, dataset.Modality = DigitalXRayImageStorageForPresentation, "DX"
    dataset.PhotometricInterpretation, dataset.ImageLaterality = "MONOCHROME1", "L"
    del dataset.PixelSpacing
    dataset.ImagerPixelSpacing = ["0.14", "0.14"]
    bits = np.zeros((dataset.Rows, dataset.Columns), "u1")
    bits[10:20] = 1
    for tag, vr, value in (
        (0x60000010, "US", dataset.Rows), (0x60000011, "US", dataset.Columns), (0x60000040, "CS", "G"),
        (0x60000050, "SS", [1, 1]), (0x60000100, "US", 1), (0x60000102, "US", 0),
        (0x60003000, "OW", np.packbits(bits.ravel(), bitorder="little").tobytes()),
    ):  # fmt: skip
        dataset.add_new(tag, vr, value)
    return objects.as_file(dataset)


def structures() -> bytes:
    """One structure with one contour."""
    dataset = _without_document("RTSTRUCT", RTStructureSetStorage, seed=16)
    structure, contour, contours = Dataset(), Dataset(), Dataset()
    structure.ROINumber, structure.ROIName = 1, "prostate"
    contour.ContourGeometricType, contour.NumberOfContourPoints = "CLOSED_PLANAR", 3
    contour.ContourData = ["0", "0", "0", "10", "0", "0", "0", "10", "0"]
    contours.ReferencedROINumber, contours.ContourSequence = 1, Sequence([contour])
    dataset.StructureSetROISequence, dataset.ROIContourSequence = Sequence([structure]), Sequence([contours])
    return objects.as_file(dataset)


def plan() -> bytes:
    """One beam."""
    dataset = _without_document("RTPLAN", RTPlanStorage, seed=17)
    beam, group = Dataset(), Dataset()
    beam.ReferencedBeamNumber, beam.BeamMeterset = 1, "120.5"
    group.FractionGroupNumber, group.ReferencedBeamSequence = 1, Sequence([beam])
    dataset.FractionGroupSequence = Sequence([group])
    return objects.as_file(dataset)


def ecg() -> bytes:
    """One channel."""
    dataset = _without_document("ECG", TwelveLeadECGWaveformStorage, seed=18)
    wave = Dataset()
    wave.NumberOfWaveformChannels, wave.NumberOfWaveformSamples, wave.SamplingFrequency = 1, 500, "500"
    wave.WaveformBitsAllocated, wave.WaveformSampleInterpretation = 16, "SS"
    values = (1000 * np.sin(np.arange(500) / 9)).astype("<i2")
    wave.add_new(0x54001010, "OW", values.tobytes())
    dataset.WaveformSequence = Sequence([wave])
    return objects.as_file(dataset)


def _without_document(modality: str, sop_class: UID, *, seed: int) -> Dataset:
    dataset = _read(objects.report(seed=seed))
    for keyword in ("EncapsulatedDocument", "MIMETypeOfEncapsulatedDocument"):
        delattr(dataset, keyword)
    dataset.SOPClassUID, dataset.Modality = sop_class, modality
    return dataset


def _words_swapped(dataset: Dataset) -> Dataset:
    """A new data set: pydicom writes no other byte order of one that was read."""
    copy = Dataset()
    for element in dataset:
        copy.add(element)
    copy.PixelData = np.frombuffer(dataset.PixelData, "<u2").astype(">u2").tobytes()
    copy["PixelData"].VR = "OW"
    return copy


def real() -> Iterator[tuple[str, bytes]]:
    """Files of the pydicom package; of the collection the first of each kind: class, colours, frames, syntax."""
    seen: set[tuple[str, ...]] = set()
    named = [(f"pydicom {name}", shipped(name)) for name in SHIPPED]
    folders = ("modalities", "nonpixel", "transfer_syntaxes", "series")
    paths = [path for folder in folders for path in collection(f"{folder}/**/*")]
    named += [(str(path.relative_to(COLLECTION / "dicom")), path) for path in paths]
    for name, path in named:
        if path.stat().st_size > LARGEST:
            continue
        kind = _kind(path)
        if kind is not None and kind not in seen:
            seen.add(kind)
            yield name, path.read_bytes()


def _kind(path: Path) -> tuple[str, ...] | None:
    """None for what is no composite object, or is not whole."""
    try:
        dataset = dcmread(path, stop_before_pixels=True)
    except (InvalidDicomError, EOFError, ValueError, AttributeError, KeyError):
        return None
    if "SOPInstanceUID" not in dataset or "TransferSyntaxUID" not in dataset.file_meta:
        return None
    several = str(int(dataset.get("NumberOfFrames", 1) or 1) > 1)
    words = [str(dataset.get(keyword, "")) for keyword in ("SOPClassUID", "PhotometricInterpretation")]
    return (*words, several, _coding(str(dataset.file_meta.TransferSyntaxUID)))


def _coding(uid: str) -> str:
    """Compression with and without loss are two kinds, each syntax of native pixel data is one."""
    syntax = syntax_of(uid)
    if syntax.decoder == "native":
        return uid
    return "lossy" if syntax.lossy else "lossless"


def sibling(original: bytes) -> bytes:
    """An object of the same kind of another patient, with another picture where that is simple to make."""
    dataset = _read(original)
    dataset.PatientID, dataset.PatientName, dataset.PatientBirthDate = "SIBLING-1", "Sib^Ling", "19330303"
    dataset.PatientSex = "M"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = _uid(dataset, "study"), _uid(dataset, "series")
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = _uid(dataset, "instance")
    dataset.AccessionNumber, dataset.StudyDate = "SIB-77", "20230303"
    _turn(dataset)
    return _written(dataset)


def older(original: bytes) -> bytes:
    """The same instance with another picture, or another description."""
    dataset = _read(original)
    dataset.SeriesDescription = "an older version"
    _turn(dataset)
    return _written(dataset)


def _turn(dataset: Dataset) -> None:
    if "PixelData" not in dataset or dataset.file_meta.TransferSyntaxUID.is_compressed:
        return
    value, size = dataset.PixelData, max(int(dataset.BitsAllocated) // 8, 1) * int(dataset.SamplesPerPixel)
    middle = len(value) // 3 // size * size
    dataset.PixelData = value[middle:] + value[:middle]


def _uid(dataset: Dataset, what: str) -> UID:
    return UID(generate_uid(prefix="2.25.1.", entropy_srcs=[what, str(dataset.get("SOPInstanceUID", ""))]))


def _read(data: bytes) -> Dataset:
    return dcmread(io.BytesIO(data))


def _written(dataset: Dataset) -> bytes:
    out = io.BytesIO()
    dataset.save_as(out)
    return out.getvalue()
