"""The cost of hiding: one row for every image and profile, on the uncompressed path."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from export.data import Item
from export.evaluation import measures
from export.evaluation.images import Subject, load, windowed
from gateway.seal.codec import (
    Codec,
    Hidden,
    HideFailed,
    Profile,
)

PAYLOAD_BYTES = 160  # a default record of usual length in its envelope, X25519


@dataclass(frozen=True)
class Row:
    """One image and profile. Where nothing was hidden, figures of the container are None.

    path: of the image, in the data folder.
    level: `full`, or the reason why nothing was hidden.
    recovered: a reader without a hint got the payload back exactly.
    psnr_db: peak = the range of the image.
    psnr_stored_db: peak = 2^bits stored - 1.
    psnr_window_db: of both images rendered to 8 bits by their window, peak 255.
    ssim, rms_to_noise, worst_cell_db, region_shift, restoring_share, jpegls_growth: see `measures`.
    max_change: of any stored value.
    coded_bits: written into the image, error correction included.
    pixels: of the image.
    hide_ms, reveal_ms: milliseconds on this machine.
    in_range: the container stays in the range of the image.
    side: the smaller one, pixels.
    codec_id: of the networks.
    """

    path: str
    kind: str
    profile: str
    level: str
    recovered: bool
    psnr_db: float | None = None
    psnr_stored_db: float | None = None
    psnr_window_db: float | None = None
    ssim: float | None = None
    max_change: int | None = None
    rms_to_noise: float | None = None
    worst_cell_db: float | None = None
    region_shift: float | None = None
    restoring_share: float | None = None
    jpegls_growth: float | None = None
    coded_bits: int | None = None
    pixels: int | None = None
    hide_ms: float | None = None
    reveal_ms: float | None = None
    in_range: bool = True
    side: int | None = None
    codec_id: str | None = None


def hidden_in(codec: Codec, subject: Subject, payload: bytes, profile: Profile) -> Hidden:
    """Hide as the gateway does: the codec gets the VOI window of a deeper image.

    Raises HideFailed when the image can't carry the payload.
    """
    return codec.hide(subject.cover[None], payload, profile=profile, window=subject.known_window)


def measure(codec: Codec, item: Item, folder: Path, profile: Profile, rng: np.random.Generator) -> Row | None:
    """Measure one file.

    folder: the data folder.
    rng: for the payload.

    Returns None for a file that `images.load` does not take.
    """
    subject = load(item, folder)
    return None if subject is None else measure_subject(codec, subject, profile, rng)


def measure_subject(codec: Codec, subject: Subject, profile: Profile, rng: np.random.Generator) -> Row:
    """Hide a random payload in the whole image and read it again; the parameters are those of `measure`."""
    cover = subject.cover
    payload = rng.bytes(PAYLOAD_BYTES)
    started_at = time.perf_counter()
    try:
        hidden = hidden_in(codec, subject, payload, profile)
    except HideFailed as failure:
        return Row(
            path=subject.name,
            kind=subject.kind,
            profile=profile,
            level=failure.code,
            recovered=False,
            pixels=cover.shape[0] * cover.shape[1],
            side=min(cover.shape[:2]),
        )
    hidden_at = time.perf_counter()
    revealed = codec.reveal(hidden.container)
    revealed_at = time.perf_counter()
    container = hidden.container[0]
    shown_cover, shown_container = (windowed(image, subject.window) for image in (cover, container))
    return Row(
        path=subject.name,
        kind=subject.kind,
        profile=profile,
        level="full",
        recovered=revealed is not None and revealed.payload == payload,
        psnr_db=round(measures.psnr(cover, container, subject.peak), 2),
        psnr_stored_db=round(measures.psnr(cover, container, 2**subject.bits_stored - 1), 2),
        psnr_window_db=round(measures.psnr(shown_cover, shown_container, 255), 2),
        ssim=round(measures.similarity(cover, container), 6),
        max_change=hidden.max_change,
        rms_to_noise=round(measures.rms_against_noise(cover, container), 4),
        worst_cell_db=round(measures.worst_cell_psnr(cover, container, subject.peak), 2),
        region_shift=round(measures.region_mean_shift(cover, container), 4),
        restoring_share=round(measures.restoring_share(cover, hidden), 5),
        jpegls_growth=round(measures.jpegls_growth(cover, container), 5),
        coded_bits=hidden.coded_bits,
        pixels=cover.shape[0] * cover.shape[1],
        hide_ms=round(1000 * (hidden_at - started_at), 1),
        reveal_ms=round(1000 * (revealed_at - hidden_at), 1),
        in_range=bool(container.min() >= cover.min() and container.max() <= cover.max()),
        side=min(cover.shape[:2]),
        codec_id=hidden.codec_id,
    )
