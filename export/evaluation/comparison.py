"""Ours and the baselines: the same payload in the same 8-bit images, through the same distortions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from export.evaluation import measures
from export.evaluation.baselines.method import Image, Marked, Method
from export.evaluation.distortions import DISTORTIONS, Setting, jpeg2000
from export.evaluation.images import Subject, seeded
from export.evaluation.quality import PAYLOAD_BYTES
from gateway.seal.codec import Codec, HideFailed, Profile

PATHS = (
    "lossless JPEG-LS",
    "noise 1",
    "JPEG Q90",
    "JPEG Q75",
    "JPEG Q50",
    "JPEG 2000 10:1",
    "JPEG-LS near 2",
)
REFERENCE = "JPEG 2000 5:1 (reference)"


@dataclass(frozen=True)
class Row:
    """outcome: exact, nothing, wrong, or "no room". psnr_db: peak 255, all samples. Empty for the reference."""

    path: str
    method: str
    distortion: str
    kind: str
    outcome: str
    psnr_db: float | None = None
    ssim: float | None = None


@dataclass(frozen=True)
class Ours:
    """A profile of the shipped codec, in the shape of a baseline; its reader is told nothing."""

    codec: Codec
    profile: Profile

    @property
    def name(self) -> str:
        return f"Sealgate {self.profile}"

    def embed(self, cover: Image, payload: bytes, target_db: float) -> Marked | None:  # noqa: ARG002 - chooses itself
        try:
            container = self.codec.hide(cover[None], payload, profile=self.profile).container[0]
        except HideFailed:
            return None

        def read(arrived: Image) -> bytes | None:
            found = self.codec.reveal(arrived[None])
            return None if found is None else found.payload

        return Marked(container, read)


def against_reference(rows: list[Row], method: str) -> list[float]:
    """Decibels by which `method` makes less error than JPEG 2000 at 5:1 on the same image, for each image."""
    costs = {(row.path, row.method): row.psnr_db for row in rows if row.psnr_db is not None}
    return [db - costs[path, REFERENCE] for (path, name), db in costs.items() if name == method]


def trials(codec: Codec, methods: list[Method], subject: Subject) -> Iterator[Row]:
    """All methods and distortions on one 8-bit image; baselines get the distortion of our robust profile."""
    payload = seeded(subject.name, "comparison").bytes(PAYLOAD_BYTES)
    cover = subject.cover
    robust = Ours(codec, Profile.ROBUST)
    ours = robust.embed(cover, payload, 0.0)
    target = measures.psnr(cover, ours.container, 255) if ours else 50.0
    compared: list[Method] = [Ours(codec, Profile.FIDELITY), robust, *methods]
    for method in compared:
        marked = method.embed(cover, payload, target)
        for distortion in DISTORTIONS:
            if distortion.name not in PATHS:
                continue
            if marked is None:
                yield Row(subject.name, method.name, distortion.name, subject.kind, "no room")
                continue
            colour = np.broadcast_to(cover, marked.container.shape)
            rng = seeded(subject.name, distortion.name)
            arrived = distortion.apply(marked.container, Setting(subject.grey_level, subject.window, rng))
            found = marked.read(arrived)
            yield Row(
                path=subject.name,
                method=method.name,
                distortion=distortion.name,
                kind=subject.kind,
                outcome="nothing" if found is None else "exact" if found == payload else "wrong",
                psnr_db=round(measures.psnr(colour, marked.container, 255), 2),
                ssim=round(measures.similarity(colour, marked.container), 5),
            )
    reference = jpeg2000(cover, Setting(1.0, subject.window, seeded()), ratio=5)
    yield Row(
        subject.name,
        REFERENCE,
        "-",
        subject.kind,
        "no payload",
        round(measures.psnr(cover, reference, 255), 2),
        round(measures.similarity(cover, reference), 5),
    )
