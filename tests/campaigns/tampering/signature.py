"""What a PS3.15 signature would find: the elements that the Creator RSA profile asks for at least (PS3.15 C.2)."""

from __future__ import annotations

from pathlib import Path

from pydicom.datadict import keyword_for_tag
from pydicom.errors import InvalidDicomError
from pydicom.filereader import dcmread
from pydicom.tag import BaseTag

# SOP class and instance, creation, study and series; the modules General Equipment, General Image, Image Pixel, SR
# Document General and Content, Waveform, Multi-frame Functional Groups, Segmentation Image, Encapsulated Document.
KEYWORDS = frozenset(
    [
        "SOPClassUID",
        "SOPInstanceUID",
        "InstanceCreationDate",
        "InstanceCreationTime",
        "StudyInstanceUID",
        "SeriesInstanceUID",
        "Manufacturer",
        "InstitutionName",
        "InstitutionAddress",
        "StationName",
        "InstitutionalDepartmentName",
        "ManufacturerModelName",
        "DeviceSerialNumber",
        "SoftwareVersions",
        "GantryID",
        "SpatialResolution",
        "DateOfLastCalibration",
        "TimeOfLastCalibration",
        "PixelPaddingValue",
        "DeviceUID",
        "InstanceNumber",
        "PatientOrientation",
        "ContentDate",
        "ContentTime",
        "ImageType",
        "AcquisitionNumber",
        "AcquisitionDate",
        "AcquisitionTime",
        "AcquisitionDateTime",
        "ReferencedImageSequence",
        "DerivationDescription",
        "DerivationCodeSequence",
        "SourceImageSequence",
        "ImagesInAcquisition",
        "ImageComments",
        "QualityControlImage",
        "BurnedInAnnotation",
        "LossyImageCompression",
        "LossyImageCompressionRatio",
        "LossyImageCompressionMethod",
        "IconImageSequence",
        "PresentationLUTShape",
        "IrradiationEventUID",
        "RealWorldValueMappingSequence",
        "SamplesPerPixel",
        "PhotometricInterpretation",
        "Rows",
        "Columns",
        "BitsAllocated",
        "BitsStored",
        "HighBit",
        "PixelRepresentation",
        "PixelData",
        "PlanarConfiguration",
        "PixelAspectRatio",
        "SmallestImagePixelValue",
        "LargestImagePixelValue",
        "RedPaletteColorLookupTableDescriptor",
        "GreenPaletteColorLookupTableDescriptor",
        "BluePaletteColorLookupTableDescriptor",
        "RedPaletteColorLookupTableData",
        "GreenPaletteColorLookupTableData",
        "BluePaletteColorLookupTableData",
        "ICCProfile",
        "ColorSpace",
        "PixelPaddingRangeLimit",
        "ContentSequence",
        "ValueType",
        "ConceptNameCodeSequence",
        "ContinuityOfContent",
        "CompletionFlag",
        "VerificationFlag",
        "VerifyingObserverSequence",
        "CurrentRequestedProcedureEvidenceSequence",
        "WaveformSequence",
        "WaveformAnnotationSequence",
        "GraphicAnnotationSequence",
        "SharedFunctionalGroupsSequence",
        "PerFrameFunctionalGroupsSequence",
        "NumberOfFrames",
        "SegmentationType",
        "SegmentSequence",
        "EncapsulatedDocument",
        "MIMETypeOfEncapsulatedDocument",
        "DocumentTitle",
    ]
)
OVERLAYS = range(0x6000, 0x6020)


def covered(tag: BaseTag, keyword: str) -> bool:
    return keyword in KEYWORDS or tag.group in OVERLAYS


def breaks(before: Path, after: Path) -> bool:
    """Whether a signature over those elements would not hold any more, as pydicom reads the two files."""
    try:
        return _covered(before) != _covered(after)
    # What pydicom raises for files that are not whole: no verifier could check a signature there.
    except (InvalidDicomError, EOFError, ValueError, AttributeError, OSError, KeyError, NotImplementedError):
        return True


def _covered(path: Path) -> dict[BaseTag, tuple[str, object]]:
    dataset = dcmread(path)
    tags = [tag for tag in [*dataset.keys()] if covered(tag, keyword_for_tag(tag))]
    return {tag: (dataset[tag].VR, dataset[tag].value) for tag in tags}
