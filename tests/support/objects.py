"""Synthetic DICOM objects: small, deterministic, of every pixel layout the gateway meets.

Each builder returns a complete Part 10 file as bytes. Pixels are smooth shapes with noise, so that they look
like images to a network rather than like constants. Names and ids are invented.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    UID,
    CTImageStorage,
    EncapsulatedPDFStorage,
    EnhancedMRImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MRImageStorage,
    OphthalmicPhotography8BitImageStorage,
    generate_uid,
)

ORGANISATION = "2.25.1"


def picture(rows: int, columns: int, low: int, high: int, seed: int) -> NDArray[np.int32]:
    """(rows, columns) values in low..high: a bright, structured, noisy ellipse on a dark border."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[-1 : 1 : rows * 1j, -1 : 1 : columns * 1j]
    distance = np.sqrt((x / 0.8) ** 2 + (y / 0.9) ** 2)
    tissue = 0.55 + 0.2 * np.sin(6 * x + seed) * np.cos(5 * y) + 0.03 * rng.standard_normal((rows, columns))
    background = 0.02 + 0.005 * rng.standard_normal((rows, columns))
    values = np.where(distance < 1, tissue, background).clip(0, 1)
    return np.round(low + values * (high - low)).astype(np.int32)


def ct(*, rows: int = 256, columns: int = 256, seed: int = 0, number: int = 1, **elements: Any) -> bytes:
    """12 bits in 16, unsigned, MONOCHROME2."""
    pixels = picture(rows, columns, 0, 4095, seed).astype("<u2")
    dataset = _image(CTImageStorage, "CT", "ct", pixels, stored=12, seed=seed, number=number)
    dataset.RescaleIntercept, dataset.RescaleSlope = "-1024", "1"
    return as_file(_with(dataset, elements))


def mr(*, rows: int = 256, columns: int = 256, seed: int = 0, number: int = 1, **elements: Any) -> bytes:
    """16 bits unsigned, MONOCHROME2, only part of the range used, as scanners do."""
    pixels = picture(rows, columns, 0, 1800, seed).astype("<u2")
    return as_file(
        _with(_image(MRImageStorage, "MR", "mr", pixels, stored=16, seed=seed, number=number), elements)
    )


def signed_ct(
    *, rows: int = 256, columns: int = 256, seed: int = 0, number: int = 1, **elements: Any
) -> bytes:
    """16 bits signed with padding -2000 in the corner, as gantry-round CT images have it."""
    pixels = picture(rows, columns, -1024, 2000, seed).astype("<i2")
    pixels[: rows // 16, : columns // 16] = -2000
    dataset = _image(CTImageStorage, "CT", "signed_ct", pixels, stored=16, seed=seed, number=number)
    dataset.add_new(0x00280120, "SS", -2000)
    return as_file(_with(dataset, elements))


def fundus(*, rows: int = 256, columns: int = 256, seed: int = 0, number: int = 1, **elements: Any) -> bytes:
    """8-bit RGB."""
    channels = [picture(rows, columns, 0, peak, seed) for peak in (230, 130, 60)]
    pixels = np.stack(channels, axis=-1).astype("u1")
    dataset = _image(
        OphthalmicPhotography8BitImageStorage, "OP", "fundus", pixels, stored=8, seed=seed, number=number
    )
    return as_file(_with(dataset, elements))


def multi_frame(
    *, frames: int = 4, rows: int = 128, columns: int = 128, seed: int = 0, **elements: Any
) -> bytes:
    """Several 12-bit MR frames in one object."""
    pixels = np.stack([picture(rows, columns, 0, 4095, seed + f) for f in range(frames)]).astype("<u2")
    dataset = _image(
        EnhancedMRImageStorage, "MR", "multi_frame", pixels, stored=12, seed=seed, number=1, frames=frames
    )
    return as_file(_with(dataset, elements))


def report(*, seed: int = 0, **elements: Any) -> bytes:
    """An object without an image: an encapsulated PDF."""
    dataset = _patient(EncapsulatedPDFStorage, "DOC", "report", seed, 1)
    dataset.EncapsulatedDocument = b"%PDF-1.4 synthetic " + bytes(range(256))
    dataset.MIMETypeOfEncapsulatedDocument = "application/pdf"
    return as_file(_with(dataset, elements))


def series(count: int, *, size: int = 128, seed: int = 7) -> list[bytes]:
    """`count` different CT slices of one series of one patient."""
    shared = {"StudyInstanceUID": uid("study", seed), "SeriesInstanceUID": uid("series", seed)}
    shared |= {"PatientID": f"SYN-{seed:05d}"}
    return [ct(rows=size, columns=size, seed=seed * 1000 + n, number=n + 1, **shared) for n in range(count)]


def uid(*parts: object) -> str:
    """A UID that depends only on `parts`."""
    return str(generate_uid(prefix=f"{ORGANISATION}.", entropy_srcs=[str(part) for part in parts]))


def as_file(dataset: Dataset, syntax: str = ExplicitVRLittleEndian) -> bytes:
    """`dataset` as a Part 10 file in one of the uncompressed syntaxes."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = UID(syntax)
    dataset.file_meta = meta
    out = io.BytesIO()
    implicit, little = syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian
    dataset.save_as(out, enforce_file_format=True, implicit_vr=implicit, little_endian=little)
    return out.getvalue()


def _patient(sop_class: str, modality: str, name: str, seed: int, number: int) -> Dataset:
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID = sop_class
    dataset.SOPInstanceUID = uid("instance", name, seed, number)
    dataset.StudyInstanceUID = uid("study", seed)
    dataset.SeriesInstanceUID = uid("series", seed)
    dataset.StudyDate, dataset.StudyTime = "20240229", "101500"
    dataset.Modality = modality
    dataset.Manufacturer = "Synthetic"
    dataset.PatientName = "Müller^Élise"
    dataset.PatientID = f"SYN-{seed:05d}"
    dataset.IssuerOfPatientID = "TESTS"
    dataset.PatientBirthDate = "19700101"
    dataset.PatientSex = "F"
    dataset.AccessionNumber = f"A{seed:07d}"
    dataset.StudyID = "1"
    dataset.ReferringPhysicianName = ""
    dataset.SeriesNumber, dataset.InstanceNumber = "1", str(number)
    return dataset


def _image(
    sop_class: str,
    modality: str,
    name: str,
    pixels: NDArray[Any],
    *,
    stored: int,
    seed: int,
    number: int,
    frames: int = 1,
) -> Dataset:
    dataset = _patient(sop_class, modality, name, seed, number)
    colour = pixels.ndim == 3 and frames == 1
    rows, columns = pixels.shape[1:3] if frames > 1 else pixels.shape[:2]
    dataset.SamplesPerPixel = 3 if colour else 1
    dataset.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        dataset.PlanarConfiguration = 0
    if frames > 1:
        dataset.NumberOfFrames = str(frames)
    dataset.Rows, dataset.Columns = rows, columns
    dataset.BitsAllocated = pixels.dtype.itemsize * 8
    dataset.BitsStored, dataset.HighBit = stored, stored - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.PixelSpacing = ["0.5", "0.5"]
    raw = pixels.tobytes()
    dataset.PixelData = raw + b"\0" * (len(raw) % 2)
    dataset["PixelData"].VR = "OB" if dataset.BitsAllocated == 8 else "OW"
    return dataset


def _with(dataset: Dataset, elements: dict[str, Any]) -> Dataset:
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    return dataset
