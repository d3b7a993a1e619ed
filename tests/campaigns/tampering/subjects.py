"""To which objects a change applies, by their headers."""

from __future__ import annotations

from collections.abc import Callable

from pydicom.dataset import Dataset

Applies = Callable[[Dataset], bool]

OVERLAY_ROWS = 0x60000010


def everything(_dataset: Dataset) -> bool:
    return True


def sealed_pixels(dataset: Dataset) -> bool:
    """Carries the record in its pixels."""
    return level(dataset) == "FULL"


def level(dataset: Dataset) -> str:
    """As the private block says it; empty without one."""
    block = (
        dataset.private_block(0x0071, "SEALGATE") if "SEALGATE" in dataset.private_creators(0x0071) else None
    )
    return str(block[0x02].value) if block else ""


def image(dataset: Dataset) -> bool:
    return "PixelData" in dataset


def native(dataset: Dataset) -> bool:
    """Native pixel data of whole bytes, interleaved."""
    return (
        image(dataset)
        and not dataset.file_meta.TransferSyntaxUID.is_compressed
        and dataset.BitsAllocated in (8, 16)
        and dataset.get("PlanarConfiguration", 0) == 0
        and "422" not in str(dataset.PhotometricInterpretation)
    )


def explicit_little(dataset: Dataset) -> bool:
    return str(dataset.file_meta.TransferSyntaxUID) == "1.2.840.10008.1.2.1"


def encapsulated(dataset: Dataset) -> bool:
    return image(dataset) and bool(dataset.file_meta.TransferSyntaxUID.is_encapsulated)


def grey(dataset: Dataset) -> bool:
    return native(dataset) and dataset.SamplesPerPixel == 1


def monochrome(dataset: Dataset) -> bool:
    return image(dataset) and str(dataset.PhotometricInterpretation).startswith("MONOCHROME")


def colour(dataset: Dataset) -> bool:
    return native(dataset) and dataset.SamplesPerPixel == 3


def frames(dataset: Dataset) -> int:
    return int(dataset.get("NumberOfFrames", 1) or 1) if image(dataset) else 0


def several_frames(dataset: Dataset) -> bool:
    return frames(dataset) > 1


def has(*keywords: str) -> Applies:
    """Each is there, with a value."""
    return lambda dataset: all(dataset.get(keyword) not in (None, "", []) for keyword in keywords)


def lacks(keyword: str) -> Applies:
    return lambda dataset: keyword not in dataset


def modality(*names: str) -> Applies:
    return lambda dataset: str(dataset.get("Modality", "")) in names


def both(*conditions: Applies) -> Applies:
    return lambda dataset: all(condition(dataset) for condition in conditions)
