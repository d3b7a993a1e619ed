"""The picture itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.filereader import dcmread

from tests.campaigns.tampering.change import ALL_OVER, TAMPERED, TILES, Change, Scene
from tests.campaigns.tampering.subjects import Applies, both, colour, grey, native
from tests.campaigns.tampering.tools import (
    dcmodify,
    differs,
    on_samples,
    pixels_differ,
    put_samples,
    samples_of,
)
from tests.support.dcmtk import tool

Samples = NDArray[Any]


def _disc(samples: Samples) -> tuple[slice, NDArray[np.bool_]]:
    """A disc in the middle, a sixteenth of the smaller edge in radius; and the frame in the middle."""
    frames, rows, columns, _ = samples.shape
    y, x = np.mgrid[:rows, :columns]
    radius = max(min(rows, columns) // 16, 2)
    inside = (y - rows // 2) ** 2 + (x - columns // 2) ** 2 <= radius**2
    return slice(frames // 2, frames // 2 + 1), inside


def lesion_added(samples: Samples) -> Samples:
    frame, inside = _disc(samples)
    samples[frame, inside] = samples.max() - samples[frame, inside] // 8
    return samples


def lesion_removed(samples: Samples) -> Samples:
    """Tissue from beside it is copied over it."""
    frame, inside = _disc(samples)
    beside = np.roll(samples[frame], samples.shape[2] // 5, axis=2)
    same = beside[:, inside] == samples[frame][:, inside]
    samples[frame, inside] = np.where(same, beside[:, inside] ^ 1, beside[:, inside])
    return samples


def one_bit(samples: Samples) -> Samples:
    samples[0, samples.shape[1] // 2, samples.shape[2] // 2, 0] ^= 1
    return samples


def noise(samples: Samples) -> Samples:
    drawn = np.random.default_rng(1).integers(-3, 4, samples.shape)
    return np.asarray(np.clip(samples.astype(np.int64) + drawn, samples.min(), samples.max()))


def smoothed(samples: Samples) -> Samples:
    wide = samples.astype(np.int64)
    shifted = [np.roll(wide, (dy, dx), (1, 2)) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
    return np.asarray(np.stack(shifted).mean(axis=0).round())


def stretched(samples: Samples) -> Samples:
    """More contrast around the middle of the range."""
    low, high = int(samples.min()), int(samples.max())
    middle = (low + high) / 2
    return np.clip((samples - middle) * 1.5 + middle, low, high).round()


def coarser(samples: Samples) -> Samples:
    return np.asarray(samples >> 2 << 2)


def inverted(samples: Samples) -> Samples:
    return np.asarray(int(samples.max()) + int(samples.min()) - samples.astype(np.int64))


def border_blacked(samples: Samples) -> Samples:
    width = max(samples.shape[1] // 8, 1)
    samples[:, :width] = samples.min()
    samples[0, 0, 0] = samples.max()
    return samples


def text_burned_in(samples: Samples) -> Samples:
    """Bars like letters in a corner."""
    rows, columns = samples.shape[1:3]
    for stroke in range(4, min(columns // 2, 60), 4):
        samples[:, 4 : min(rows - 1, 14), stroke] = samples.max()
    samples[:, 3, 4] ^= 1
    return samples


def _crop(samples: Samples) -> Samples:
    return samples[:, : samples.shape[1] * 3 // 4, : samples.shape[2] * 3 // 4]


def _other_picture(scene: Scene, target: Path) -> None:
    """The other patient's pixels in this file."""
    dataset = dcmread(scene.source)
    dataset.PixelData = dcmread(scene.sibling).PixelData
    dataset.save_as(target)


def _half_of_other(scene: Scene, target: Path) -> None:
    dataset = dcmread(scene.source)
    samples, other = samples_of(dataset), samples_of(dcmread(scene.sibling))
    samples[:, samples.shape[1] // 2 :] = other[:, samples.shape[1] // 2 :]
    put_samples(dataset, samples)
    dataset.save_as(target)


def _hidden_above(scene: Scene, target: Path) -> None:
    """Bits above Bits Stored, which a viewer does not show."""
    dataset = dcmread(scene.source)
    samples = samples_of(dataset)
    samples[0, : samples.shape[1] // 4, ::2] |= np.array(1 << (dataset.BitsAllocated - 1)).astype(
        samples.dtype
    )
    put_samples(dataset, samples)
    dataset.save_as(target)


def _has_room_above(dataset: Dataset) -> bool:
    return grey(dataset) and dataset.BitsStored < dataset.BitsAllocated and not dataset.PixelRepresentation


def _jpeg(scene: Scene, target: Path) -> None:
    tool("gdcmconv", "--jpeg", "--lossy", "-q", "70", scene.source, target)


def _eight_bit(dataset: Dataset) -> bool:
    return native(dataset) and dataset.BitsAllocated == 8 and str(dataset.PhotometricInterpretation) in {
        "RGB", "MONOCHROME2", "MONOCHROME1"
    }  # fmt: skip


def _jpeg_and_back(scene: Scene, target: Path) -> None:
    """Compressed and decompressed again, so that nothing in the file tells of it."""
    between = scene.folder / "between.dcm"
    dcmjpeg(scene, between)
    tool("dcmdjpeg", between, target)


def dcmjpeg(scene: Scene, target: Path) -> None:
    tool("dcmcjpeg", "+ee", "+q", "60", "+un", scene.source, target)


def _twelve_bit(dataset: Dataset) -> bool:
    return (
        grey(dataset)
        and dataset.BitsStored <= 12
        and not dataset.PixelRepresentation
        and (dataset.BitsAllocated == 16)
    )


def _picture(
    name: str,
    person: str,
    work: Any,
    *,
    expected: tuple[str, ...] = TAMPERED,
    applies: Applies = native,
    names: tuple[str, ...] = (TILES,),
) -> Change:
    return Change(
        name=name, group="pixels", person=person, tool="pydicom, NumPy", applies=applies,
        apply=on_samples(work), proof=pixels_differ, expected=expected, names=names,
    )  # fmt: skip


SHAPE = ("Rows", "Columns", TILES)

CHANGES: tuple[Change, ...] = (
    _picture("lesion-added", "paints a finding in", lesion_added),
    _picture("lesion-removed", "covers a finding with tissue from beside it", lesion_removed),
    _picture("one-bit", "changes the lowest bit of one pixel", one_bit),
    _picture("mirrored", "mirrors left and right", lambda s: s[:, :, ::-1], expected=ALL_OVER, names=()),
    _picture("upside-down", "mirrors top and bottom", lambda s: s[:, ::-1], expected=ALL_OVER, names=()),
    _picture("rotated-180", "turns it half round", lambda s: s[:, ::-1, ::-1], expected=ALL_OVER, names=()),
    _picture(
        "rotated-90", "turns it a quarter", lambda s: np.rot90(s, axes=(1, 2)), expected=ALL_OVER, names=()
    ),
    _picture("cropped", "cuts the edges off", _crop, names=(), expected=(*TAMPERED, "altered")),
    _picture(
        "grey-inverted", "inverts the stored values", inverted, expected=ALL_OVER, names=(), applies=native
    ),
    _picture("contrast-stretched", "stretches the contrast", stretched, expected=ALL_OVER, names=()),
    _picture("noise", "hides detail in noise", noise, expected=ALL_OVER, names=()),
    _picture("smoothed", "smooths detail away", smoothed, expected=ALL_OVER, names=()),
    _picture("bits-dropped", "drops the two lowest bits", coarser, expected=ALL_OVER, names=()),
    _picture("border-blacked", "blackens a border, where an annotation stood", border_blacked),
    _picture("text-burned-in", "burns a text in", text_burned_in),
    _picture(
        "colours-swapped",
        "exchanges red and blue",
        lambda s: s[..., ::-1],
        applies=colour,
        expected=ALL_OVER,
        names=(),
    ),
    Change(
        name="region-blacked",
        group="pixels",
        person="fills a region with the tool of GDCM",
        tool="gdcmimg",
        applies=both(
            grey, lambda d: min(d.Rows, d.Columns) >= 64 and int(d.get("NumberOfFrames", 1) or 1) == 1
        ),
        apply=lambda scene, target: tool(
            "gdcmimg", "--fill", "0", "--region", "16,48,16,48", "-i", scene.source, "-o", target
        ),
        proof=pixels_differ,
        expected=(*TAMPERED, "altered", "misidentified"),
        names=(),
    ),
    Change(
        name="picture-swap",
        group="pixels",
        person="puts the other patient's pixels under this header",
        tool="pydicom",
        applies=native,
        apply=_other_picture,
        proof=pixels_differ,
        expected=ALL_OVER,
        names=(),
    ),
    Change(
        name="picture-half-swap",
        group="pixels",
        person="puts half of another patient's image in",
        tool="pydicom, NumPy",
        applies=native,
        apply=_half_of_other,
        proof=pixels_differ,
        expected=ALL_OVER,
        names=(TILES,),
    ),
    Change(
        name="high-bits",
        group="pixels",
        person="hides something above Bits Stored",
        tool="pydicom, NumPy",
        applies=_has_room_above,
        apply=_hidden_above,
        proof=pixels_differ,
        expected=TAMPERED,
    ),
    Change(
        name="jpeg",
        group="pixels",
        person="compresses with loss",
        tool="gdcmconv",
        applies=_eight_bit,
        apply=_jpeg,
        proof=pixels_differ,
        expected=(*ALL_OVER, "altered", "misidentified"),
    ),
    Change(
        name="jpeg-12-bit",
        group="pixels",
        person="compresses 12 bits with loss",
        tool="dcmcjpeg",
        applies=_twelve_bit,
        apply=dcmjpeg,
        proof=pixels_differ,
        expected=(*ALL_OVER, "altered", "misidentified"),
    ),
    Change(
        name="jpeg-and-back",
        group="pixels",
        person="compresses with loss and decompresses again",
        tool="dcmcjpeg, dcmdjpeg",
        applies=_twelve_bit,
        apply=_jpeg_and_back,
        proof=pixels_differ,
        expected=(*ALL_OVER, "altered", "misidentified"),
    ),
    Change(
        name="rows-and-columns",
        group="structure",
        person="exchanges the numbers of rows and columns",
        tool="dcmodify",
        applies=both(native, lambda d: d.Rows != d.Columns),
        apply=lambda scene, target: _exchange_edges(scene, target),
        proof=differs("Rows", "Columns"),
        expected=TAMPERED,
        names=(),
    ),
)


def _exchange_edges(scene: Scene, target: Path) -> None:
    dataset = dcmread(scene.source, stop_before_pixels=True)
    dcmodify(scene, target, "-m", f"Rows={dataset.Columns}", "-m", f"Columns={dataset.Rows}")
