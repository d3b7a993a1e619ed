"""Image files of others: what they show, as stored values, without loss. Hostile ones end in an InputError."""

from __future__ import annotations

import io
import struct
import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from gateway.errors import InputError, UnreadableObject
from gateway.images import jpeg

# Of all pages together. A file of some bytes may claim any number.
PIXELS_MAX = 1 << 26
PAGES_MAX = 4096
FORMATS = ("PNG", "JPEG", "TIFF")
ORIENTATION = 0x0112
_TIFF_BITS, _TIFF_PHOTOMETRIC = 258, 262


class UnsupportedImage(InputError):
    """The image file can be read, but not be kept as it is in a DICOM object."""

    code = "unsupported-image"
    hint = (
        "Save it as PNG, JPEG or TIFF of 8 or 16 bits greyscale, palette or 8 bits RGB, without transparency."
    )


@dataclass(frozen=True, kw_only=True)
class Picture:
    """What an image file shows.

    samples: (frames, rows, columns, 1 or 3), uint8 or uint16; greyscale with 0 as black, or RGB.
    stream: baseline JPEG that may stay as it is; None: `samples` are written.
    stream_rgb: whether the stream holds RGB and not YCbCr.
    lossy_ratio: bytes of the samples to bytes of the file, where it was compressed with loss; None where it was not.
    icc: profile of the colours; empty without one.
    spacing_mm: row and column spacing that the file states, in mm; None where it states none.
    notes: code words for what was done to the image on the way.
    """

    samples: NDArray[Any]
    stream: bytes | None = None
    stream_rgb: bool = False
    lossy_ratio: float | None = None
    icc: bytes = b""
    spacing_mm: tuple[float, float] | None = None
    notes: tuple[str, ...] = ()


def read(data: bytes) -> Picture:
    """The picture in a complete PNG, JPEG or TIFF file.

    Raises UnreadableObject when it is none, or damaged. Raises UnsupportedImage when something would be lost.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Above what we take, too: no image of that size is decoded.
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                return _read(image, data)
        except UnidentifiedImageError:
            raise UnreadableObject(
                "it is no PNG, JPEG or TIFF image", hint="Convert it to one of these, or check the file."
            ) from None
        except (Image.DecompressionBombError, Image.DecompressionBombWarning):
            raise _too_large() from None
        except (OSError, ValueError, SyntaxError, TypeError, KeyError, IndexError, OverflowError, EOFError,
                AttributeError, ArithmeticError, struct.error) as error:  # fmt: skip
            # What Pillow's parsers raise for damaged files; its texts may quote the file.
            raise UnreadableObject(
                f"the image is damaged or incomplete ({type(error).__name__})",
                hint="Open it in a viewer, and export or copy it again.",
            ) from error


def _read(image: Image.Image, data: bytes) -> Picture:
    pages = int(getattr(image, "n_frames", 1))
    if pages > 1 and image.format != "TIFF":
        raise UnsupportedImage("an image that moves (APNG, MPO) is not taken")
    width, height = image.size
    if pages > PAGES_MAX or width * height * pages > PIXELS_MAX:
        raise _too_large()
    if max(width, height) > 0xFFFF:
        raise UnsupportedImage("DICOM knows no more than 65535 rows or columns")
    dpi, icc = image.info.get("dpi"), bytes(image.info.get("icc_profile") or b"")
    frames, notes = list[NDArray[Any]](), list[str]()
    for number in range(pages):
        image.seek(number)
        if image.size != (width, height):
            raise UnsupportedImage("its pages differ in size; wrap each of them by itself")
        _check_depth(image, data)
        image.load()
        samples, done = _samples(image)
        frames.append(samples)
        notes += [note for note in done if note not in notes]
    if len({(frame.shape, frame.dtype) for frame in frames}) > 1:
        raise UnsupportedImage("its pages differ in size, depth or colour; wrap each of them by itself")
    stacked = np.stack(frames)
    turned = "orientation-applied" in notes
    picture = Picture(
        samples=stacked, icc=icc if stacked.shape[3] == 3 else b"", spacing_mm=_spacing(dpi, turned)
    )
    if icc and not picture.icc:
        notes.append("icc-of-greyscale-left-out")
    if image.format == "JPEG":
        picture = replace(picture, lossy_ratio=stacked.nbytes / len(data))
        kept = jpeg.baseline(data)
        if kept is None:
            notes.append("jpeg-decoded")
        elif not turned:
            picture = replace(picture, stream=kept.stream, stream_rgb=kept.rgb)
    elif image.format == "TIFF" and image.info.get("compression") in {"jpeg", "tiff_jpeg", "webp"}:
        picture = replace(picture, lossy_ratio=max(1.0, stacked.nbytes / len(data)))
    return replace(picture, notes=tuple(notes))


def _check_depth(image: Image.Image, data: bytes) -> None:
    """Pillow gives 16 bits of colour as 8, silently: refuse what would lose something.

    Raises UnsupportedImage.
    """
    if image.format == "PNG" and data[24] == 16 and data[25] != 0:
        raise UnsupportedImage("16 bits for each colour, or greyscale of 16 bits with transparency")
    if image.format != "TIFF":
        return
    tags = image.tag_v2  # type: ignore[attr-defined]  # only TIFF has it
    bits = tags.get(_TIFF_BITS, (1,))
    bits = bits if isinstance(bits, tuple) else (bits,)
    if len(bits) > 1 and max(bits) > 8:
        raise UnsupportedImage("more than 8 bits for each colour")
    if image.mode.startswith("I;16") and (tags.get(_TIFF_PHOTOMETRIC) != 1 or bits != (16,)):
        raise UnsupportedImage("greyscale of 16 bits in which 0 is white, or of another number of bits")


def _samples(image: Image.Image) -> tuple[NDArray[Any], list[str]]:
    """(rows, columns, samples), and what was done. Raises UnsupportedImage."""
    notes = []
    if image.getexif().get(ORIENTATION, 1) not in (0, 1):
        turned = ImageOps.exif_transpose(image)
        assert turned is not None
        image = turned
        notes.append("orientation-applied")
    if image.mode.startswith("I;16"):
        values = np.asarray(image).astype(np.uint16)
        if "transparency" in image.info:
            raise _transparent()
        return values[..., np.newaxis], notes
    if image.mode == "P" or image.mode == "PA":
        notes.append("palette-expanded")
        image = image.convert("RGBA")
    elif "transparency" in image.info or image.mode in {"LA", "La", "RGBA", "RGBa"}:
        image = image.convert("RGBA" if image.mode.startswith("RGB") else "LA")
    if image.mode in {"RGBA", "LA"}:
        if image.getchannel("A").getextrema() != (255, 255):
            raise _transparent()
        if "palette-expanded" not in notes:
            notes.append("opaque-alpha-left-out")
        image = image.convert(image.mode[:-1])
    if image.mode == "1":
        notes.append("one-bit-expanded")
        image = image.convert("L")
    if image.mode not in {"L", "RGB"}:
        raise UnsupportedImage(f"pixels of kind {image.mode}")
    values = np.asarray(image)
    return (values[..., np.newaxis] if values.ndim == 2 else values), notes


def _spacing(dpi: Any, turned: bool) -> tuple[float, float] | None:
    """Row and column spacing in mm. Not of a turned image: which way it was meant is not said."""
    if turned or not isinstance(dpi, tuple) or len(dpi) != 2:
        return None
    across, down = (float(value) for value in dpi)
    if not (1 <= across <= 100_000 and 1 <= down <= 100_000):
        return None
    return round(25.4 / down, 6), round(25.4 / across, 6)


def _transparent() -> UnsupportedImage:
    return UnsupportedImage(
        "it has transparent pixels, and what is shown depends on what lies behind",
        hint="Flatten it onto the background it is meant for, and save it without an alpha channel.",
    )


def _too_large() -> UnsupportedImage:
    return UnsupportedImage(f"it claims more than {PIXELS_MAX} pixels", hint="Cut or scale it first.")
