"""Where real images come from: the collection beside the repository if there, else what pydicom ships."""

from __future__ import annotations

from pathlib import Path

from pydicom.data import get_testdata_file

REPOSITORY = Path(__file__).parents[2]
COLLECTION = REPOSITORY.parent / "shared" / "data"

# Uncompressed or losslessly compressed image files inside the pydicom package itself.
SHIPPED = (
    "CT_small.dcm",
    "MR_small.dcm",
    "MR_small_bigendian.dcm",
    "MR_small_implicit.dcm",
    "MR_small_jp2klossless.dcm",
    "MR_small_RLE.dcm",
    "rtplan.dcm",
    "test-SR.dcm",
)


def shipped(name: str) -> Path:
    """A test file of the pydicom package."""
    path = get_testdata_file(name, download=False)
    assert path is not None, f"this pydicom does not ship {name}"
    return Path(str(path))


def collection(pattern: str) -> list[Path]:
    """Files of the collection matching a glob below `dicom/`, sorted; none where there is no collection."""
    return sorted(path for path in (COLLECTION / "dicom").glob(pattern) if path.is_file())
