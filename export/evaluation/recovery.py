"""Is the payload still there? One row for every image, profile and distortion."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray
from scipy.stats import beta

from export.evaluation import measures
from export.evaluation.distortions import DISTORTIONS, Distortion, Setting
from export.evaluation.images import Subject, seeded
from export.evaluation.quality import PAYLOAD_BYTES
from gateway.seal.codec import Codec, HideFailed, Profile


@dataclass(frozen=True)
class Row:
    """outcome: exact, nothing (no payload found), wrong (another payload accepted). psnr_db: cost of hiding."""

    path: str
    profile: str
    distortion: str
    kind: str
    outcome: str
    psnr_db: float


def trials(codec: Codec, subject: Subject, profile: Profile) -> Iterator[Row]:
    """All distortions of one image, each read by a reader that knows nothing; none where nothing can be hidden."""
    payload = seeded(subject.name, profile, "payload").bytes(PAYLOAD_BYTES)
    try:
        container = codec.hide(subject.cover[None], payload, profile=profile).container[0]
    except HideFailed:
        return
    cost = round(measures.psnr(subject.cover, container, subject.peak), 2)
    for distortion in DISTORTIONS:
        if distortion.deep and subject.cover.dtype.itemsize == 1:
            continue
        outcome = _outcome(codec, subject, profile, distortion, container, payload)
        yield Row(subject.name, profile, distortion.name, subject.kind, outcome, cost)


def _outcome(
    codec: Codec,
    subject: Subject,
    profile: Profile,
    distortion: Distortion,
    container: NDArray[Any],
    payload: bytes,
) -> str:
    rng = seeded(subject.name, profile, distortion.name)
    arrived = distortion.apply(container, Setting(subject.grey_level, subject.window, rng))
    found = codec.reveal(arrived[None])
    if found is None:
        return "nothing"
    return "exact" if found.payload == payload else "wrong"


def clopper_pearson(successes: int, trials_made: int, confidence: float = 0.95) -> tuple[float, float]:
    """Exact binomial interval (Clopper and Pearson 1934)."""
    tail = (1 - confidence) / 2
    low = 0.0 if successes == 0 else float(beta.ppf(tail, successes, trials_made - successes + 1))
    high = (
        1.0 if successes == trials_made else float(beta.ppf(1 - tail, successes + 1, trials_made - successes))
    )
    return low, high
