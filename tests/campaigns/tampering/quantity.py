"""What is measured: units, doses, uptake, segments, structures, reports."""

from __future__ import annotations

from collections.abc import Callable

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from tests.campaigns.tampering.change import ALTERED, TAMPERED, Change
from tests.campaigns.tampering.making import edited, element, inserted, nested
from tests.campaigns.tampering.subjects import Applies, both, everything, has, image, modality, monochrome

EITHER = (*ALTERED, *TAMPERED)
RADIOPHARMACEUTICAL = "RadiopharmaceuticalInformationSequence"


def _times(keyword: str, factor: float) -> Callable[[Dataset], str]:
    return lambda dataset: f"{float(dataset[keyword].value) * factor:.10g}"


def _plus(keyword: str, much: float) -> Callable[[Dataset], str]:
    return lambda dataset: f"{float(dataset[keyword].value) + much:.10g}"


def _last_digit(dataset: Dataset) -> str:
    """The same to six digits, another number all the same."""
    return f"{float(dataset.RescaleSlope) * (1 + 3e-7):.12g}"


def _first(top: str, keyword: str) -> Applies:
    def applies(dataset: Dataset) -> bool:
        items = dataset.get(top)
        return bool(items) and keyword in items[0]

    return applies


def _real_world(dataset: Dataset) -> None:
    unit = Dataset()
    unit.CodeValue, unit.CodingSchemeDesignator, unit.CodeMeaning = "{SUVbw}g/ml", "UCUM", "SUV"
    mapping = Dataset()
    mapping.RealWorldValueIntercept, mapping.RealWorldValueSlope = 0.0, 10.0
    mapping.LUTLabel, mapping.MeasurementUnitsCodeSequence = "SUV", Sequence([unit])
    vr = "SS" if dataset.get("PixelRepresentation") else "US"
    mapping.add_new(0x00409216, vr, 0)
    mapping.add_new(0x00409211, vr, 4095)
    dataset.RealWorldValueMappingSequence = Sequence([mapping])


def _segment_renamed(dataset: Dataset) -> None:
    segment = dataset.SegmentSequence[0]
    segment.SegmentLabel = "healthy liver"
    if segment.get("SegmentedPropertyTypeCodeSequence"):
        code = segment.SegmentedPropertyTypeCodeSequence[0]
        code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "10200004", "SCT", "Liver"


def _segments_swapped(dataset: Dataset) -> None:
    one, two = dataset.SegmentSequence[0], dataset.SegmentSequence[1]
    one.SegmentLabel, two.SegmentLabel = two.SegmentLabel, one.SegmentLabel


def _contour_moved(dataset: Dataset) -> None:
    contour = dataset.ROIContourSequence[0].ContourSequence[0]
    contour.ContourData = [float(value) + 5 for value in contour.ContourData]


def _monitor_units(dataset: Dataset) -> None:
    beam = dataset.FractionGroupSequence[0].ReferencedBeamSequence[0]
    beam.BeamMeterset = float(beam.BeamMeterset) * 10


def _number_in_report(dataset: Dataset) -> None:
    found = next(
        item for item in _items(dataset) if "MeasuredValueSequence" in item and item.MeasuredValueSequence
    )
    found.MeasuredValueSequence[0].NumericValue = "99.5"


def _text_in_report(dataset: Dataset) -> None:
    found = next(item for item in _items(dataset) if item.get("TextValue"))
    found.TextValue = "No evidence of disease."


def _items(dataset: Dataset) -> list[Dataset]:
    """The content items of a report, at every depth."""
    found, waiting = [], list(dataset.get("ContentSequence", []))
    while waiting:
        item = waiting.pop()
        found.append(item)
        waiting += list(item.get("ContentSequence", []))
    return found


def _has_item(keyword: str) -> Applies:
    return lambda dataset: any(item.get(keyword) for item in _items(dataset))


def _other_document(dataset: Dataset) -> None:
    document = bytearray(dataset.EncapsulatedDocument)
    document[len(document) // 2] ^= 1
    dataset.EncapsulatedDocument = bytes(document)


def _waveform(dataset: Dataset) -> None:
    item = dataset.WaveformSequence[0]
    item.WaveformData = bytes(item.WaveformData[64:]) + bytes(item.WaveformData[:64])


def _has_beams(dataset: Dataset) -> bool:
    groups = dataset.get("FractionGroupSequence") or []
    beams = [beam for group in groups[:1] for beam in group.get("ReferencedBeamSequence", [])]
    return bool(beams) and "BeamMeterset" in beams[0]


def _has_contours(dataset: Dataset) -> bool:
    contours = dataset.get("ROIContourSequence")
    return bool(contours) and bool(contours[0].get("ContourSequence"))


def _eighth_digit(dataset: Dataset) -> None:
    """Equal to six digits: 1234567.0 and 1234568.9."""
    dataset.CTDIvol = float(dataset.CTDIvol) * (1 + 1.9 / 1234567)


CHANGES: tuple[Change, ...] = (
    edited(
        "double-precision",
        "quantity",
        "changes a double in its seventh digit",
        _eighth_digit,
        "CTDIvol",
        applies=has("CTDIvol"),
    ),
    element(
        "rescale-slope", "quantity", "doubles every measured value", "RescaleSlope", _times("RescaleSlope", 2)
    ),
    element(
        "rescale-intercept",
        "quantity",
        "moves every measured value",
        "RescaleIntercept",
        _plus("RescaleIntercept", 100),
    ),
    element("last-digit", "quantity", "changes a factor in its seventh digit", "RescaleSlope", _last_digit),
    inserted(
        "rescale-added",
        "quantity",
        "adds a scale where there was none",
        "RescaleSlope",
        "10",
        applies=both(monochrome, lambda d: "RescaleSlope" not in d),
    ),
    inserted(
        "rescale-type", "quantity", "says another unit", "RescaleType", "US", applies=has("RescaleSlope")
    ),
    edited(
        "real-world-values",
        "quantity",
        "adds a mapping to SUV",
        _real_world,
        "RealWorldValueMappingSequence",
        applies=monochrome,
    ),
    element("units", "quantity", "says another unit of uptake", "Units", "CNTS", expected=EITHER),
    inserted(
        "patient-weight",
        "quantity",
        "changes the weight: uptake and doses follow",
        "PatientWeight",
        "7",
        applies=everything,
        expected=EITHER,
    ),
    inserted(
        "patient-size",
        "quantity",
        "changes the height",
        "PatientSize",
        "1.01",
        applies=everything,
        expected=EITHER,
    ),
    inserted(
        "patient-age",
        "quantity",
        "changes the age, and the norms with it",
        "PatientAge",
        "007Y",
        applies=everything,
        expected=EITHER,
    ),
    nested(
        "injected-dose",
        "quantity",
        "changes the injected dose: SUV follows",
        f"{RADIOPHARMACEUTICAL}[0].RadionuclideTotalDose",
        RADIOPHARMACEUTICAL,
        "11000000",
        applies=_first(RADIOPHARMACEUTICAL, "RadionuclideTotalDose"),
        expected=EITHER,
    ),
    nested(
        "half-life",
        "quantity",
        "changes the half-life: SUV follows",
        f"{RADIOPHARMACEUTICAL}[0].RadionuclideHalfLife",
        RADIOPHARMACEUTICAL,
        "100",
        applies=_first(RADIOPHARMACEUTICAL, "RadionuclideHalfLife"),
        expected=EITHER,
    ),
    nested(
        "injection-time",
        "quantity",
        "changes the time of injection: SUV follows",
        f"{RADIOPHARMACEUTICAL}[0].RadiopharmaceuticalStartTime",
        RADIOPHARMACEUTICAL,
        "010101",
        applies=_first(RADIOPHARMACEUTICAL, "RadiopharmaceuticalStartTime"),
        expected=EITHER,
    ),
    element(
        "decay-correction",
        "quantity",
        "says the counts were not corrected",
        "DecayCorrection",
        "NONE",
        expected=EITHER,
    ),
    element(
        "dose-calibration",
        "quantity",
        "changes the factor to becquerels",
        "DoseCalibrationFactor",
        "123.5",
        expected=EITHER,
    ),
    inserted(
        "contrast-agent",
        "quantity",
        "adds or changes the contrast agent",
        "ContrastBolusAgent",
        "OTHER",
        applies=image,
    ),
    inserted(
        "tube-voltage", "quantity", "changes the kilovolts", "KVP", "40", applies=modality("CT", "CR", "DX")
    ),
    inserted(
        "exposure", "quantity", "hides a dose", "ExposureInuAs", "1", applies=modality("CT", "CR", "DX")
    ),
    inserted("radiation-dose", "quantity", "hides a dose", "CTDIvol", "0.1", applies=modality("CT")),
    inserted("echo-time", "quantity", "passes T2 off as T1", "EchoTime", "9.5", applies=modality("MR")),
    element(
        "dose-scaling",
        "quantity",
        "multiplies a dose by ten",
        "DoseGridScaling",
        _times("DoseGridScaling", 10),
        expected=EITHER,
    ),
    element(
        "dose-scaling-last-digit",
        "quantity",
        "changes a dose in its seventh digit",
        "DoseGridScaling",
        _times("DoseGridScaling", 1 + 3e-7),
        expected=EITHER,
    ),
    element(
        "dose-units", "quantity", "passes gray off as relative", "DoseUnits", "RELATIVE", expected=EITHER
    ),
    element(
        "dose-type",
        "quantity",
        "passes a physical dose off as an effective one",
        "DoseType",
        "EFFECTIVE",
        expected=EITHER,
    ),
    edited(
        "segment-renamed",
        "quantity",
        "renames a tumour to healthy tissue",
        _segment_renamed,
        "SegmentSequence",
        applies=_first("SegmentSequence", "SegmentLabel"),
        expected=EITHER,
    ),
    edited(
        "segments-swapped",
        "quantity",
        "exchanges the names of two segments",
        _segments_swapped,
        "SegmentSequence",
        applies=lambda d: len(d.get("SegmentSequence", [])) > 1,
        expected=EITHER,
    ),
    nested(
        "structure-renamed",
        "quantity",
        "renames a structure of a plan",
        "StructureSetROISequence[0].ROIName",
        "StructureSetROISequence",
        "bladder",
        applies=_first("StructureSetROISequence", "ROIName"),
        expected=EITHER,
    ),
    edited(
        "contour-moved",
        "quantity",
        "moves a contour by five millimetres",
        _contour_moved,
        "ROIContourSequence",
        applies=_has_contours,
        expected=EITHER,
    ),
    edited(
        "monitor-units",
        "quantity",
        "has a beam deliver ten times as much",
        _monitor_units,
        "FractionGroupSequence",
        applies=_has_beams,
        expected=EITHER,
    ),
    edited(
        "number-in-report",
        "quantity",
        "changes a measurement in a report",
        _number_in_report,
        "ContentSequence",
        applies=_has_item("MeasuredValueSequence"),
        expected=EITHER,
    ),
    edited(
        "text-in-report",
        "quantity",
        "changes a finding in a report",
        _text_in_report,
        "ContentSequence",
        applies=_has_item("TextValue"),
        expected=EITHER,
    ),
    element(
        "report-verified",
        "quantity",
        "passes a draft off as verified",
        "VerificationFlag",
        "VERIFIED",
        expected=EITHER,
    ),
    edited(
        "document",
        "quantity",
        "changes a byte of an encapsulated document",
        _other_document,
        "EncapsulatedDocument",
        applies=has("EncapsulatedDocument"),
        expected=EITHER,
    ),
    edited(
        "waveform",
        "quantity",
        "shifts an ECG",
        _waveform,
        "WaveformSequence",
        applies=_first("WaveformSequence", "WaveformData"),
        expected=EITHER,
    ),
)
