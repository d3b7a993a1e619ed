"""A DICOM object of a picture: Secondary Capture (PS3.3 A.8) or Ophthalmic Photography (PS3.3 A.41)."""

from __future__ import annotations

import io
import re
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime

from pydicom import config
from pydicom.datadict import dictionary_VM, dictionary_VR, tag_for_keyword
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import UID
from pydicom.valuerep import validate_value

from gateway.dicom.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION
from gateway.errors import UsageError
from gateway.images.picture import Picture, UnsupportedImage

EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
JPEG_BASELINE = "1.2.840.10008.1.2.4.50"
SC = "1.2.840.10008.5.1.4.1.1.7"
# Multi-frame, by (bytes of a sample, samples of a pixel).
SC_MULTI = {(1, 1): f"{SC}.2", (2, 1): f"{SC}.3", (1, 3): f"{SC}.4"}
OP_8, OP_16 = "1.2.840.10008.5.1.4.1.1.77.1.5.1", "1.2.840.10008.5.1.4.1.1.77.1.5.2"
# What a picture decides itself, or the program: a value from outside could contradict it.
_OWN_GROUPS = (0x0000, 0x0002, 0x0004, 0x0028, 0x7FE0)
_OWN = {"SOPClassUID", "SpecificCharacterSet"}
_OF_GROUP_28 = {
    "PixelSpacing", "PixelSpacingCalibrationType", "PixelSpacingCalibrationDescription",
    "BurnedInAnnotation", "RecognizableVisualFeatures",
}  # fmt: skip
_NOT_TEXT = {"SQ", "OB", "OW", "OF", "OD", "OL", "OV", "UN", "AT"}
# Conversion types that mean that something of a known size was scanned (PS3.3 C.8.6.1).
_SCANNED = {"SD", "SI"}
_EMPTY = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "AccessionNumber", "ReferringPhysicianName",
    "StudyID", "StudyDate", "StudyTime", "Laterality", "PatientOrientation",
)  # fmt: skip
_OP_EMPTY = (
    "PatientEyeMovementCommanded", "RefractiveStateSequence", "EmmetropicMagnification", "IntraOcularPressure",
    "HorizontalFieldOfView", "PupilDilated", "IlluminationTypeCodeSequence", "LightPathFilterTypeStackCodeSequence",
    "ImagePathFilterTypeStackCodeSequence", "LensesCodeSequence", "DetectorType", "Manufacturer",
)  # fmt: skip


def checked_fields(given: tuple[str, ...]) -> dict[str, str]:
    """Keyword -> value of texts KEYWORD=VALUE.

    Raises UsageError, which names the keyword and never the value, when an element is unknown, is given twice, is
    decided by the image, or can't have this value.
    """
    values: dict[str, str] = {}
    for text in given:
        keyword, separator, value = text.partition("=")
        tag = tag_for_keyword(keyword)
        if not separator:
            raise UsageError("--field needs KEYWORD=VALUE", hint="For example --field PatientID=4711.")
        if tag is None:
            raise UsageError(
                f"--field {keyword}: DICOM has no element of this name",
                hint="Use a keyword of PS3.6, such as PatientName.",
            )
        vr = dictionary_VR(tag)
        own = keyword in _OWN or (tag >> 16 in _OWN_GROUPS and keyword not in _OF_GROUP_28)
        if own or vr in _NOT_TEXT or " or " in vr:
            raise UsageError(
                f"--field {keyword}: this element can't be given; the image or the program sets it"
            )
        if keyword in values:
            raise UsageError(f"--field {keyword}: it is given twice")
        _check_value(keyword, tag, vr, value)
        values[keyword] = value
    return values


def _check_value(keyword: str, tag: int, vr: str, value: str) -> None:
    parts = value.split("\\") if vr not in {"LT", "ST", "UT", "UR"} else [value]
    vm = dictionary_VM(tag)
    wrong = UsageError(
        f"--field {keyword}: no value of this element (VR {vr}, VM {vm})", hint="See PS3.5 6.2."
    )
    if not _as_many(len(parts), vm) or not value.isprintable():
        raise wrong
    for part in parts:
        try:
            validate_value(vr, _number(vr, part), config.RAISE)
        except (ValueError, TypeError, OverflowError):
            raise wrong from None


def _number(vr: str, text: str) -> str | int | float:
    if vr in {"US", "SS", "UL", "SL", "UV", "SV"}:
        return int(text)
    return float(text) if vr in {"FL", "FD"} else text


def _as_many(count: int, vm: str) -> bool:
    least, _, most = vm.partition("-")
    if not most:
        return count == int(least)
    step = int(re.sub(r"\D", "", most) or 1) if "n" in most else 1
    return count >= int(least) and ("n" in most or count <= int(most)) and (count - int(least)) % step == 0


def wrapped(
    picture: Picture, kind: str, fields: Mapping[str, str], *, now: datetime, entropy: Callable[[int], bytes]
) -> tuple[bytes, Dataset]:
    """A complete DICOM file (PS3.10), and its data set.

    kind: "sc" or "op".
    fields: of `checked_fields`; they win over what is filled in here.
    now: of making the object, with its time zone.
    entropy: source of random bytes, for UIDs.

    Raises UsageError when the class needs a field that is not given, UnsupportedImage when it can't hold the picture.
    """

    def uid() -> str:
        return f"2.25.{uuid.UUID(bytes=entropy(16), version=4).int}"

    _, rows, columns, samples = picture.samples.shape
    depth = picture.samples.dtype.itemsize
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    for keyword in _EMPTY:
        setattr(dataset, keyword, "")
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID = uid(), uid(), uid()
    dataset.SeriesNumber, dataset.InstanceNumber = 1, 1
    dataset.InstanceCreationDate, dataset.InstanceCreationTime = (
        now.strftime("%Y%m%d"),
        now.strftime("%H%M%S"),
    )
    dataset.TimezoneOffsetFromUTC = now.strftime("%z")
    dataset.SamplesPerPixel, dataset.Rows, dataset.Columns = samples, rows, columns
    dataset.PhotometricInterpretation = "MONOCHROME2" if samples == 1 else "RGB"
    if samples == 3:
        dataset.PlanarConfiguration = 0
    dataset.BitsAllocated = dataset.BitsStored = 8 * depth
    dataset.HighBit, dataset.PixelRepresentation = 8 * depth - 1, 0
    if picture.icc:
        dataset.ICCProfile = picture.icc + b"\0" * (len(picture.icc) % 2)
    dataset.LossyImageCompression = "00"
    if picture.lossy_ratio is not None:
        dataset.LossyImageCompression = "01"
        dataset.LossyImageCompressionRatio = f"{picture.lossy_ratio:.2f}"
        dataset.LossyImageCompressionMethod = "ISO_10918_1"
    if kind == "op":
        _ophthalmic(dataset, picture, fields, now)
    else:
        _capture(dataset, picture, fields)
    _put(dataset, fields)
    syntax = UID(EXPLICIT_LITTLE_ENDIAN)
    if picture.stream is not None:
        syntax = UID(JPEG_BASELINE)
        if samples == 3:
            dataset.PhotometricInterpretation = "RGB" if picture.stream_rgb else "YBR_FULL_422"
        dataset.PixelData = encapsulate([picture.stream])
        dataset["PixelData"].is_undefined_length = True
        dataset["PixelData"].VR = "OB"
    else:
        stored = picture.samples.astype("<u2" if depth == 2 else "u1", copy=False).tobytes()
        dataset.PixelData = stored + b"\0" * (len(stored) % 2)
        dataset["PixelData"].VR = "OW" if depth == 2 else "OB"
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = syntax
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION
    dataset.file_meta = meta
    out = io.BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    return out.getvalue(), dataset


def _put(dataset: Dataset, fields: Mapping[str, str]) -> None:
    for keyword, value in fields.items():
        vr = dictionary_VR(keyword)
        if vr in {"US", "SS", "UL", "SL", "UV", "SV", "FL", "FD"}:
            setattr(dataset, keyword, [_number(vr, part) for part in value.split("\\")])
        else:
            setattr(dataset, keyword, value)


def _capture(dataset: Dataset, picture: Picture, fields: Mapping[str, str]) -> None:
    frames, _, _, samples = picture.samples.shape
    dataset.SOPClassUID, dataset.Modality, dataset.ConversionType = SC, "OT", "WSD"
    dataset.ImageType = ["DERIVED", "SECONDARY"]
    if fields.get("ConversionType") in _SCANNED and picture.spacing_mm:
        # A resolution says something only of what lay on a scanner: cameras and programs write 72 or 96 into anything.
        dataset.NominalScannedPixelSpacing = [f"{value:g}" for value in picture.spacing_mm]
    if frames == 1:
        return
    dataset.SOPClassUID = SC_MULTI[(picture.samples.dtype.itemsize, samples)]
    dataset.NumberOfFrames = frames
    # Page Number Vector (0018,2001).
    dataset.FrameIncrementPointer = 0x00182001
    dataset.PageNumberVector = list(range(1, frames + 1))
    # Nobody looked: with YES nobody takes the picture for one without names.
    dataset.BurnedInAnnotation = "YES"
    if samples == 1:
        dataset.PresentationLUTShape = "IDENTITY"
        dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = "0", "1", "US"


def _ophthalmic(dataset: Dataset, picture: Picture, fields: Mapping[str, str], now: datetime) -> None:
    """Raises UsageError without side or time, UnsupportedImage for pages: frames of this class have times."""
    if picture.samples.shape[0] != 1:
        raise UnsupportedImage(
            "an image of several pages is no ophthalmic photograph", hint="Wrap each page, or use --class sc."
        )
    if fields.get("ImageLaterality") not in {"R", "L", "B"}:
        raise UsageError(
            "--class op needs --field ImageLaterality=R, L or B",
            hint="The standard asks for the side, and nobody may guess it.",
        )
    if not fields.get("AcquisitionDateTime"):
        raise UsageError(
            "--class op needs --field AcquisitionDateTime=YYYYMMDDHHMMSS",
            hint="The standard asks when it was taken; dates of files say something else.",
        )
    dataset.SOPClassUID = OP_16 if picture.samples.dtype.itemsize == 2 else OP_8
    dataset.Modality, dataset.ImageType, dataset.NumberOfFrames = "OP", ["ORIGINAL", "PRIMARY"], 1
    # Frame Time (0018,1063). Checkers of the class ask for it with one frame, too.
    dataset.FrameIncrementPointer, dataset.FrameTime = 0x00181063, "0"
    # Image Laterality tells the side.
    del dataset.Laterality
    for keyword in _OP_EMPTY:
        setattr(dataset, keyword, Sequence() if dictionary_VR(keyword) == "SQ" else None)
    if picture.samples.shape[3] == 1:
        dataset.PresentationLUTShape = "IDENTITY"
    dataset.BurnedInAnnotation = "YES"
    dataset.ContentDate, dataset.ContentTime = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
    dataset.SynchronizationTrigger, dataset.AcquisitionTimeSynchronized = "NO TRIGGER", "N"
    dataset.SynchronizationFrameOfReferenceUID = "1.2.840.10008.15.1.1"
    dataset.AnatomicRegionSequence = [_code("81745001", "SCT", "Eye")]
    dataset.AcquisitionDeviceTypeCodeSequence = [_code("409898007", "SCT", "Fundus Camera")]


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item
