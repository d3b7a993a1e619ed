"""How values are shown: inversion, windows, tables, overlays, shutters. The pixels stay."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from tests.campaigns.tampering.change import ALTERED, TAMPERED, TILES, Change
from tests.campaigns.tampering.making import edited, element, inserted
from tests.campaigns.tampering.subjects import (
    OVERLAY_ROWS,
    Applies,
    both,
    colour,
    grey,
    has,
    image,
    modality,
    monochrome,
    several_frames,
)

EITHER = (*ALTERED, *TAMPERED)


def _photometric(value: str) -> Applies:
    return lambda dataset: image(dataset) and str(dataset.PhotometricInterpretation) == value


def _window(dataset: Dataset) -> None:
    dataset.WindowCenter, dataset.WindowWidth = "9000", "2"


def _voi_lut(dataset: Dataset) -> None:
    dataset.VOILUTSequence = Sequence([_table(dataset, np.linspace(255, 0, 256))])


def _modality_lut(dataset: Dataset) -> None:
    for keyword in ("RescaleSlope", "RescaleIntercept"):
        if keyword in dataset:
            delattr(dataset, keyword)
    table = _table(dataset, np.linspace(0, 255, 256))
    table.ModalityLUTType = "HU"
    dataset.ModalityLUTSequence = Sequence([table])


def _table(dataset: Dataset, values: np.ndarray) -> Dataset:
    table = Dataset()
    vr = "SS" if dataset.get("PixelRepresentation") else "US"
    table.add_new(0x00283002, vr, [256, 0, 16])
    table.add_new(0x00283006, "OW", values.astype("<u2").tobytes())
    return table


def _overlay(dataset: Dataset) -> None:
    """A white bar over the middle of the image."""
    bits = np.zeros((dataset.Rows, dataset.Columns), "u1")
    bits[dataset.Rows // 3 : dataset.Rows // 2] = 1
    packed = np.packbits(bits.ravel(), bitorder="little").tobytes()
    dataset.add_new(0x60020010, "US", dataset.Rows)
    dataset.add_new(0x60020011, "US", dataset.Columns)
    dataset.add_new(0x60020040, "CS", "G")
    dataset.add_new(0x60020050, "SS", [1, 1])
    dataset.add_new(0x60020100, "US", 1)
    dataset.add_new(0x60020102, "US", 0)
    dataset.add_new(0x60023000, "OW", packed + b"\0" * (len(packed) % 2))


def _other_overlay(dataset: Dataset) -> None:
    element = dataset[0x60003000]
    element.value = bytes(byte ^ 0xFF for byte in element.value[:64]) + element.value[64:]


def _icon(dataset: Dataset) -> None:
    icon = Dataset()
    icon.SamplesPerPixel, icon.PhotometricInterpretation = 1, "MONOCHROME2"
    icon.Rows = icon.Columns = 32
    icon.BitsAllocated = icon.BitsStored = 8
    icon.HighBit, icon.PixelRepresentation = 7, 0
    icon.add_new(0x7FE00010, "OB", bytes(range(256)) * 4)
    dataset.IconImageSequence = Sequence([icon])


def _palette(dataset: Dataset) -> None:
    for keyword in ("RedPaletteColorLookupTableData", "BluePaletteColorLookupTableData"):
        value = dataset[keyword].value
        dataset[keyword].value = bytes(value[2:]) + bytes(value[:2])


def _profile(dataset: Dataset) -> None:
    path = get_testdata_file("crayons.icc")
    data = Path(str(path)).read_bytes()
    dataset.ICCProfile = data + b"\0" * (len(data) % 2)


def _shutter(dataset: Dataset) -> None:
    dataset.ShutterShape = "RECTANGULAR"
    dataset.ShutterLeftVerticalEdge, dataset.ShutterRightVerticalEdge = 1, max(dataset.Columns // 2, 1)
    dataset.ShutterUpperHorizontalEdge, dataset.ShutterLowerHorizontalEdge = 1, dataset.Rows


def _padding(dataset: Dataset) -> None:
    """Everything from the middle of the range up counts as padding, and is shown black."""
    vr = "SS" if dataset.PixelRepresentation else "US"
    stored = int(dataset.BitsStored) - int(dataset.PixelRepresentation)
    dataset.add_new(0x00280120, vr, 1 << (stored - 1))
    dataset.add_new(0x00280121, vr, (1 << stored) - 1)


def _annotation(dataset: Dataset) -> None:
    text = Dataset()
    text.UnformattedTextValue = "no finding"
    text.BoundingBoxAnnotationUnits = "PIXEL"
    text.AnchorPoint, text.AnchorPointVisibility, text.AnchorPointAnnotationUnits = [10.0, 10.0], "N", "PIXEL"
    annotation = Dataset()
    annotation.GraphicLayer = "LAYER1"
    annotation.TextObjectSequence = Sequence([text])
    dataset.GraphicAnnotationSequence = Sequence([annotation])


CHANGES: tuple[Change, ...] = (
    element(
        "photometric-inverted",
        "display",
        "shows white as black",
        "PhotometricInterpretation",
        "MONOCHROME1",
        applies=_photometric("MONOCHROME2"),
        expected=EITHER,
    ),
    element(
        "photometric-back",
        "display",
        "shows black as white",
        "PhotometricInterpretation",
        "MONOCHROME2",
        applies=_photometric("MONOCHROME1"),
        expected=EITHER,
    ),
    element(
        "photometric-colour",
        "display",
        "has RGB read as luminance and colour",
        "PhotometricInterpretation",
        "YBR_FULL",
        applies=both(colour, _photometric("RGB")),
        expected=EITHER,
    ),
    element(
        "photometric-of-jpeg-2000",
        "display",
        "has RGB called the colours of JPEG 2000, which some turn into RGB once more",
        "PhotometricInterpretation",
        "YBR_ICT",
        applies=both(colour, _photometric("RGB")),
        expected=TAMPERED,
        names=("(0028,0004)",),
    ),
    inserted(
        "presentation-lut",
        "display",
        "inverts by the presentation LUT",
        "PresentationLUTShape",
        "INVERSE",
        applies=monochrome,
    ),
    inserted(
        "window-centre",
        "display",
        "shows another part of the range",
        "WindowCenter",
        "-1500",
        applies=both(monochrome, has("WindowWidth")),
    ),
    inserted(
        "window-width",
        "display",
        "narrows the window until the finding is gone",
        "WindowWidth",
        "2",
        applies=both(monochrome, has("WindowCenter")),
    ),
    edited(
        "window-added",
        "display",
        "adds a window that hides the finding",
        _window,
        "WindowCenter",
        "WindowWidth",
        applies=both(monochrome, lambda d: "WindowCenter" not in d),
    ),
    inserted(
        "voi-function",
        "display",
        "has the window read as a sigmoid",
        "VOILUTFunction",
        "SIGMOID",
        applies=both(monochrome, has("WindowWidth")),
    ),
    edited(
        "voi-lut", "display", "adds a VOI LUT that inverts", _voi_lut, "VOILUTSequence", applies=monochrome
    ),
    edited(
        "modality-lut",
        "display",
        "puts a table in the place of slope and intercept",
        _modality_lut,
        "ModalityLUTSequence",
        applies=grey,
    ),
    edited(
        "padding-range",
        "display",
        "declares half of the values to be padding",
        _padding,
        "PixelPaddingRangeLimit",
        "PixelPaddingValue",
        applies=grey,
    ),
    edited(
        "overlay-added",
        "display",
        "covers a finding with an overlay",
        _overlay,
        "OverlayData",
        "OverlayRows",
        "(6002,3000)",
        applies=image,
        proof=lambda a, b: _has_overlay(b) and not _has_overlay(a),
    ),
    edited(
        "overlay-changed",
        "display",
        "changes an overlay that is there",
        _other_overlay,
        "OverlayData",
        "(6000,3000)",
        applies=lambda d: OVERLAY_ROWS in d and 0x60003000 in d and len(d[0x60003000].value) >= 64,
        proof=lambda a, b: _overlay_data(a) != _overlay_data(b),
    ),
    edited("icon", "display", "exchanges the thumbnail", _icon, "IconImageSequence", applies=image),
    edited(
        "palette",
        "display",
        "exchanges colours in the palette",
        _palette,
        "RedPaletteColorLookupTableData",
        "BluePaletteColorLookupTableData",
        applies=has("RedPaletteColorLookupTableData", "BluePaletteColorLookupTableData"),
    ),
    edited(
        "icc-profile",
        "display",
        "adds or exchanges a colour profile",
        _profile,
        "ICCProfile",
        applies=both(image, lambda d: d.SamplesPerPixel == 3),
    ),
    edited(
        "shutter",
        "display",
        "hides half of the image behind a shutter",
        _shutter,
        "ShutterShape",
        "ShutterRightVerticalEdge",
        applies=image,
    ),
    inserted(
        "frame-time",
        "display",
        "plays a loop at another speed: heart rates change",
        "FrameTime",
        "500",
        applies=several_frames,
    ),
    inserted(
        "cine-trim",
        "display",
        "has the last frames of a loop left out",
        "StopTrim",
        "1",
        applies=several_frames,
    ),
    edited(
        "presentation-text",
        "display",
        "writes another text over the image",
        _annotation,
        "GraphicAnnotationSequence",
        applies=modality("PR"),
        expected=EITHER,
    ),
    element(
        "planar-configuration",
        "display",
        "has colours read plane by plane",
        "PlanarConfiguration",
        "1",
        applies=colour,
        expected=EITHER,
        names=(TILES,),
    ),
)


def _has_overlay(path: object) -> bool:
    from pydicom.filereader import dcmread

    return 0x60023000 in dcmread(str(path), stop_before_pixels=True)


def _overlay_data(path: object) -> bytes:
    from pydicom.filereader import dcmread

    return bytes(dcmread(str(path), stop_before_pixels=True)[0x60003000].value)
