"""Where the picture lies, how large it is, and which side it shows."""

from __future__ import annotations

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from tests.campaigns.tampering.change import ALTERED, TAMPERED, Change
from tests.campaigns.tampering.making import edited, element, inserted
from tests.campaigns.tampering.subjects import Applies, both, image, lacks, modality

PER_FRAME, SHARED = "PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence"
EITHER = (*ALTERED, *TAMPERED)


def _group(top: str, macro: str, keyword: str) -> Applies:
    """Whether the first item of a functional groups sequence has an element of a macro."""

    def applies(dataset: Dataset) -> bool:
        groups = dataset.get(top)
        return bool(groups) and bool(groups[0].get(macro)) and keyword in groups[0].get(macro)[0]

    return applies


def _scaled(keyword: str) -> object:
    def value(dataset: Dataset) -> str:
        found = dataset.get(keyword)
        numbers = [found] if isinstance(found, float | int) else list(found)
        return "\\".join(f"{float(number) * 2 + 0.5:g}" for number in numbers)

    return value


def _reversed_frames(dataset: Dataset) -> None:
    dataset.PerFrameFunctionalGroupsSequence = Sequence(list(dataset.PerFrameFunctionalGroupsSequence)[::-1])


def _orders_matter(dataset: Dataset) -> bool:
    groups = dataset.get(PER_FRAME)
    return bool(groups) and len(groups) > 1 and groups[0] != groups[-1]


def _finer(dataset: Dataset) -> None:
    measures = dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    measures.PixelSpacing = [float(value) / 2 for value in measures.PixelSpacing]


def _moved(dataset: Dataset) -> None:
    position = dataset.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence[0]
    position.ImagePositionPatient = [float(value) + 10 for value in position.ImagePositionPatient]


def _turned(dataset: Dataset) -> None:
    orientation = dataset.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0]
    orientation.ImageOrientationPatient = [-1, 0, 0, 0, -1, 0]


def _other_view(dataset: Dataset) -> None:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "R-10226", "SRT", "medio-lateral oblique"
    dataset.ViewCodeSequence = Sequence([code])


def _number(name: str, person: str, keyword: str) -> Change:
    return element(name, "geometry", person, keyword, _scaled(keyword))  # type: ignore[arg-type]


CHANGES: tuple[Change, ...] = (
    _number("pixel-spacing", "has every length measured wrong", "PixelSpacing"),
    _number("imager-spacing", "has lengths on a radiograph measured wrong", "ImagerPixelSpacing"),
    inserted(
        "spacing-added",
        "geometry",
        "adds a scale where there was none",
        "PixelSpacing",
        "3\\3",
        applies=both(image, lacks("PixelSpacing")),
    ),
    inserted("aspect-ratio", "geometry", "stretches the picture", "PixelAspectRatio", "1\\2"),
    _number("slice-thickness", "has every volume measured wrong", "SliceThickness"),
    _number("slice-spacing", "moves slices apart", "SpacingBetweenSlices"),
    _number("image-position", "moves the slice: a needle goes elsewhere", "ImagePositionPatient"),
    element(
        "image-orientation",
        "geometry",
        "exchanges left and right",
        "ImageOrientationPatient",
        "-1\\0\\0\\0\\1\\0",
    ),
    _number("slice-location", "moves the slice in the list", "SliceLocation"),
    inserted(
        "frame-of-reference",
        "geometry",
        "lays it over another scan",
        "FrameOfReferenceUID",
        "1.2.826.0.1.3680043.2.9999.8",
    ),
    inserted("laterality", "geometry", "says the other side", "ImageLaterality", "R"),
    inserted("laterality-of-series", "geometry", "says the other side for the series", "Laterality", "L"),
    inserted(
        "patient-orientation", "geometry", "exchanges the letters at the edges", "PatientOrientation", "R\\F"
    ),
    inserted("patient-position", "geometry", "says feet first", "PatientPosition", "FFP"),
    inserted("view-position", "geometry", "says another view", "ViewPosition", "LL"),
    edited(
        "view-code", "geometry", "says another view, in code", _other_view, "ViewCodeSequence", applies=image
    ),
    inserted(
        "gantry-tilt",
        "geometry",
        "tilts the gantry afterwards",
        "GantryDetectorTilt",
        "17.5",
        applies=modality("CT"),
    ),
    inserted(
        "magnification",
        "geometry",
        "says another magnification",
        "EstimatedRadiographicMagnificationFactor",
        "2",
    ),
    edited(
        "frames-of-groups-reversed",
        "geometry",
        "reverses the functional groups: each frame is placed where another one was",
        _reversed_frames,
        PER_FRAME,
        applies=_orders_matter,
        expected=EITHER,
    ),
    edited(
        "shared-spacing",
        "geometry",
        "has lengths measured wrong in an enhanced object",
        _finer,
        SHARED,
        applies=_group(SHARED, "PixelMeasuresSequence", "PixelSpacing"),
        expected=EITHER,
    ),
    edited(
        "frame-position",
        "geometry",
        "moves one frame",
        _moved,
        PER_FRAME,
        applies=_group(PER_FRAME, "PlanePositionSequence", "ImagePositionPatient"),
        expected=EITHER,
    ),
    edited(
        "shared-orientation",
        "geometry",
        "turns all frames round",
        _turned,
        SHARED,
        applies=_group(SHARED, "PlaneOrientationSequence", "ImageOrientationPatient"),
        expected=EITHER,
    ),
)
