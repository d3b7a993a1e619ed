"""Whether the payload survives: one row for every image, profile and distortion."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray
from scipy.stats import beta

from export.evaluation import measures
from export.evaluation.distortions import DISTORTIONS, Distortion, Setting
from export.evaluation.images import Subject, seeded
from export.evaluation.quality import PAYLOAD_BYTES, hidden_in
from gateway.seal.codec import Codec, HideFailed, Profile


@dataclass(frozen=True)
class Row:
    """One image, profile and distortion.

    path: of the image, in the data folder.
    outcome: `exact`, `nothing` (no payload found) or `wrong` (another payload accepted).
    psnr_db: of the container before the distortion, peak = the range of the image.
    rows, columns: of the part of the image that was used.
    bits_stored: of the file.
    voi: the file has a VOI window.
    """

    path: str
    profile: str
    distortion: str
    kind: str
    outcome: str
    psnr_db: float
    rows: int | None = None
    columns: int | None = None
    bits_stored: int | None = None
    voi: bool | None = None


def standard(rows: list[Row]) -> list[Row]:
    """The rows of images of 512 x 512 pixels and 8 bits. The goals of `robust` are set for these."""
    return [row for row in rows if (row.rows, row.columns, row.bits_stored) == (512, 512, 8)]


def trials(codec: Codec, subject: Subject, profile: Profile) -> Iterator[Row]:
    """All distortions of one image, each with a reader that is told nothing.

    Returns no row when the image can't carry the payload.
    """
    payload = seeded(subject.name, profile, "payload").bytes(PAYLOAD_BYTES)
    try:
        container = hidden_in(codec, subject, payload, profile).container[0]
    except HideFailed:
        return
    cost = round(measures.psnr(subject.cover, container, subject.peak), 2)
    for distortion in DISTORTIONS:
        if distortion.deep and subject.cover.dtype.itemsize == 1:
            continue
        outcome = _outcome(codec, subject, profile, distortion, container, payload)
        yield Row(
            path=subject.name,
            profile=profile,
            distortion=distortion.name,
            kind=subject.kind,
            outcome=outcome,
            psnr_db=cost,
            rows=subject.cover.shape[0],
            columns=subject.cover.shape[1],
            bits_stored=subject.bits_stored,
            voi=subject.voi,
        )


def _outcome(
    codec: Codec,
    subject: Subject,
    profile: Profile,
    distortion: Distortion,
    container: NDArray[Any],
    payload: bytes,
) -> str:
    rng = seeded(subject.name, profile, distortion.name)
    arrived = distortion.apply(container, Setting(subject.grey_level, subject.window, rng, subject.voi))
    revealed = codec.reveal(arrived[None])
    if revealed is None:
        return "nothing"
    return "exact" if revealed.payload == payload else "wrong"


def clopper_pearson(successes: int, attempts: int, confidence: float = 0.95) -> tuple[float, float]:
    """The exact binomial interval (Clopper and Pearson 1934) of a share.

    successes: 0 .. attempts.
    confidence: 0 .. 1.

    Returns both ends, 0 .. 1.
    """
    tail = (1 - confidence) / 2
    low = 0.0 if successes == 0 else float(beta.ppf(tail, successes, attempts - successes + 1))
    high = 1.0 if successes == attempts else float(beta.ppf(1 - tail, successes + 1, attempts - successes))
    return low, high
