"""The objects that are tried: one of every kind in the collection, and synthetic ones for the short form."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom.errors import InvalidDicomError

from gateway.dicom.part10 import read
from gateway.dicom.syntaxes import syntax_of
from gateway.seal.codec import Profile
from tests.support import objects
from tests.support.data import COLLECTION, collection
from tests.support.desk import Desk

KIND = (
    "SOPClassUID", "Modality", "PhotometricInterpretation", "BitsAllocated", "BitsStored", "PixelRepresentation",
    "SamplesPerPixel", "SpecificCharacterSet",
)  # fmt: skip
BYTES_MAX = 3 << 20


@dataclass(frozen=True)
class Sample:
    """One sealed object.

    name: of the file.
    profile: it was sealed with.
    level: it got.
    sealed: the file.
    loss: it was compressed with loss before it was sealed.
    """

    name: str
    profile: str
    level: str
    sealed: bytes
    loss: bool

    @property
    def label(self) -> str:
        return f"{self.name} ({self.level}{', ' + self.profile if self.level == 'full' else ''})"


def kinds() -> list[Path]:
    """The smallest file of each kind: class, modality, transfer syntax, pixel layout, frames, character set."""
    found: dict[tuple[str, ...], Path] = {}
    for path in collection("**/*"):
        if "malformed" in path.parts or path.stat().st_size > BYTES_MAX:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                dataset = pydicom.dcmread(path, stop_before_pixels=True)
                frames = str(dataset.get("NumberOfFrames", "") not in ("", 0, 1))
                kind = (*(str(dataset.get(keyword, "")) for keyword in KIND), frames)
                kind += (str(dataset.file_meta.get("TransferSyntaxUID", "")),)
            except (InvalidDicomError, ValueError, AttributeError, TypeError, KeyError):
                continue
        if kind not in found or path.stat().st_size < found[kind].stat().st_size:
            found[kind] = path
    return sorted(found.values())


def sealed(desk: Desk, name: str, data: bytes) -> list[Sample]:
    """An object sealed with each profile; once where it gets no record in its pixels, not at all at level pass."""
    samples: list[Sample] = []
    loss = syntax_of(read(data).transfer_syntax).lossy
    for profile in (Profile.FIDELITY, Profile.ROBUST):
        result_data, result = desk.seal(data, profile=profile)
        if result.level != "pass":
            samples.append(Sample(name, str(profile.value), result.level, result_data, loss))
        if result.level != "full":
            break
    return samples


def of_the_collection(desk: Desk) -> list[Sample]:
    return [
        sample
        for path in kinds()
        for sample in sealed(desk, str(path.relative_to(COLLECTION / "dicom")), path.read_bytes())
    ]


def synthetic(desk: Desk) -> list[Sample]:
    """Few and small: grey of 12 bits, signed, colour, frames, and an object without an image."""
    samples = sealed(desk, "signed CT", objects.signed_ct(rows=128, columns=128))[:1]
    samples += sealed(desk, "fundus", objects.fundus(rows=128, columns=128))[1:]
    samples += sealed(desk, "multi-frame MR", objects.multi_frame(frames=2))[:1]
    return samples + sealed(desk, "report", objects.report())
