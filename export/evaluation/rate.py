"""Distortion against the size of the payload."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from export.evaluation import measures
from export.evaluation.images import Subject, seeded
from export.evaluation.quality import hidden_in
from gateway.seal.codec import Codec, HideFailed, Profile

PAYLOADS = (40, 80, 160, 320, 640)  # bytes


@dataclass(frozen=True)
class Row:
    """One image, profile and size of the payload.

    path: of the image, in the data folder.
    psnr_db: peak = the range of the image; None where the payload did not fit.
    """

    path: str
    profile: str
    payload_bytes: int
    kind: str
    psnr_db: float | None


def trials(codec: Codec, subject: Subject, profile: Profile) -> Iterator[Row]:
    """One row for each size of `PAYLOADS`."""
    for size in PAYLOADS:
        payload = seeded(subject.name, profile, size).bytes(size)
        try:
            container = hidden_in(codec, subject, payload, profile).container[0]
        except HideFailed:
            cost = None
        else:
            cost = round(measures.psnr(subject.cover, container, subject.peak), 2)
        yield Row(subject.name, profile, size, subject.kind, cost)
