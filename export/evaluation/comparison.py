"""Our codec and the baselines hide the same payload in the same 8-bit images, which meet the same distortions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from export.evaluation import measures
from export.evaluation.baselines.method import Embedded, Image, Method
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
    """One image, method and distortion.

    path: of the image, in the data folder.
    outcome: `exact`, `nothing` (no payload found), `wrong` (another payload accepted) or `no room`; `no payload` for
        the reference.
    psnr_db: of the container before the distortion, all samples, peak 255; None where there was no room.
    ssim: of the container before the distortion; None where there was no room.
    """

    path: str
    method: str
    distortion: str
    kind: str
    outcome: str
    psnr_db: float | None = None
    ssim: float | None = None


@dataclass(frozen=True)
class Ours:
    """A profile of the shipped codec as a `Method`. Its reader is told nothing."""

    codec: Codec
    profile: Profile

    @property
    def name(self) -> str:
        return f"Sealgate {self.profile}"

    def embed(self, cover: Image, payload: bytes, target_db: float) -> Embedded | None:  # noqa: ARG002  it has its own
        try:
            container = self.codec.hide(cover[None], payload, profile=self.profile).container[0]
        except HideFailed:
            return None

        def read(arrived: Image) -> bytes | None:
            revealed = self.codec.reveal(arrived[None])
            return None if revealed is None else revealed.payload

        return Embedded(container, read)


def against_reference(rows: list[Row], method: str) -> list[float]:
    """How much less error a method makes than JPEG 2000 at 5:1 on the same image, decibels, for each image."""
    costs = {(row.path, row.method): row.psnr_db for row in rows if row.psnr_db is not None}
    return [db - costs[path, REFERENCE] for (path, name), db in costs.items() if name == method]


def trials(codec: Codec, methods: list[Method], subject: Subject) -> Iterator[Row]:
    """All methods and distortions on one 8-bit image; the baselines may distort as much as our profile robust does."""
    payload = seeded(subject.name, "comparison").bytes(PAYLOAD_BYTES)
    cover = subject.cover
    robust = Ours(codec, Profile.ROBUST)
    ours = robust.embed(cover, payload, 0.0)
    target = measures.psnr(cover, ours.container, 255) if ours else 50.0
    compared: list[Method] = [Ours(codec, Profile.FIDELITY), robust, *methods]
    for method in compared:
        embedded = method.embed(cover, payload, target)
        for distortion in DISTORTIONS:
            if distortion.name not in PATHS:
                continue
            if embedded is None:
                yield Row(subject.name, method.name, distortion.name, subject.kind, "no room")
                continue
            # a method may turn a monochrome image into a coloured one
            original = np.broadcast_to(cover, embedded.container.shape)
            rng = seeded(subject.name, distortion.name)
            arrived = distortion.apply(embedded.container, Setting(subject.grey_level, subject.window, rng))
            answer = embedded.read(arrived)
            yield Row(
                path=subject.name,
                method=method.name,
                distortion=distortion.name,
                kind=subject.kind,
                outcome="nothing" if answer is None else "exact" if answer == payload else "wrong",
                psnr_db=round(measures.psnr(original, embedded.container, 255), 2),
                ssim=round(measures.similarity(original, embedded.container), 5),
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
