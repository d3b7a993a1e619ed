"""Many recoveries: every payload comes back exactly, every change is undone, and images without payload reveal none.

The images are real ones of the collection, where it is there, and synthetic ones: 3,000 in the campaign, otherwise few.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import imagecodecs
import numpy as np
import pytest

from export.data import manifest
from export.evaluation.images import Subject, load, seeded
from export.evaluation.recovery import clopper_pearson
from gateway.dicom.image import HighBits
from gateway.seal.codec import (
    Codec,
    Hidden,
    HideFailed,
    Profile,
)
from gateway.seal.undo import restoring_element
from tests.support.data import COLLECTION

SUMMARIES = Path(__file__).parents[4] / ".work"
SMALLEST, LARGEST = 128, 512  # pixels a side
SHORTEST, LONGEST = 30, 400  # bytes of payload
SYNTHETIC_SHARE = 10  # one cover in so many, where there are real ones
LOSSLESS_SHARE = 10  # one container in so many goes through a real lossless codec
ROUNDS = 4  # crops of each image, at most
KEY = bytes(32)
FACTS = restoring_element.Facts(
    original_digest=bytes(32), high_bits=HighBits.ZERO, transfer_syntax="1.2.840.10008.1.2.1"
)


@dataclass
class Tally:
    """Counts of trials.

    sealed, refused: number by profile.
    lost: names of trials whose payload was not revealed.
    wrong: names of trials that revealed another payload, or one in an image without.
    not_undone: names of trials whose change was not undone.
    unsealed: number of images without payload.
    """

    sealed: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    not_undone: list[str] = field(default_factory=list)
    unsealed: int = 0

    @property
    def trials(self) -> int:
        return self.sealed.total()

    def line(self) -> str:
        failures = len({*self.lost, *self.wrong, *self.not_undone})
        bound = clopper_pearson(failures, self.trials)[1]
        spurious = clopper_pearson(len(self.wrong), self.unsealed)[1]
        per_profile = ", ".join(f"{n} {profile}" for profile, n in sorted(self.sealed.items()))
        refused = ", ".join(f"{n} {code}" for code, n in sorted(self.refused.items())) or "none"
        return (
            f"{self.trials} trials ({per_profile}), {failures} failures: rate at most {bound:.3%}; "
            f"{self.unsealed} images without payload, {len(self.wrong)} revealed: rate at most {spurious:.3%} "
            f"(upper ends of 95 % Clopper-Pearson intervals); refused: {refused}"
        )


def synthetic() -> Iterator[Subject]:
    """Images of shapes and noise: 8, 12 and 16 bits, one sample or three, smooth to noisy, some on a background."""
    for number in itertools.count():
        rng = seeded("synthetic", number)
        rows, columns = (int(n) for n in rng.integers(SMALLEST, LARGEST + 1, 2))
        bits = int(rng.choice([8, 8, 12, 16]))
        samples = 3 if bits == 8 and rng.random() < 0.3 else 1
        row, column = np.mgrid[:rows, :columns][..., None]
        waves = sum(
            np.sin(row / rng.uniform(4, 90) + phase) * np.cos(column / rng.uniform(4, 90) + phase)
            for phase in rng.uniform(0, 6, (4, samples))
        )
        texture = 10 ** rng.uniform(-3, -1.2) * rng.standard_normal((rows, columns, samples))
        values = (0.5 + 0.1 * waves + texture).clip(0, 1)
        if rng.random() < 0.3:
            values[
                (row[..., 0] - rows / 2) ** 2 + (column[..., 0] - columns / 2) ** 2
                > min(rows, columns) ** 2 / 4
            ] = 0
        top = 2**bits - 1
        cover = np.rint(values * top).astype(np.uint8 if bits == 8 else np.uint16)
        yield Subject(f"synthetic {number}", "synthetic", cover, bits, (0.0, float(top)))


def real() -> Iterator[Subject]:
    """All images of the collection that are large enough, round after round, whether training used them or not."""
    items = [
        i for i in manifest(COLLECTION) if i.kind.startswith(("images/", "dicom/series", "dicom/modalities"))
    ]
    order = seeded("order").permutation(len(items))
    for _ in range(ROUNDS):
        for index in order:
            subject = load(items[index], COLLECTION)
            if subject is not None and min(subject.cover.shape[:2]) >= SMALLEST:
                yield subject


def covers() -> Iterator[tuple[str, Subject, np.ndarray]]:
    """Name, subject, and a central crop of random size, (1, rows, columns, samples)."""
    generated = synthetic()
    if COLLECTION.exists():
        mixed: Iterator[Subject] = (
            next(generated) if n % SYNTHETIC_SHARE == 0 else s for n, s in enumerate(real())
        )
    else:
        mixed = generated
    for number, subject in enumerate(mixed):
        rng = seeded("crop", number)
        sizes = [int(rng.integers(SMALLEST, min(LARGEST, n) + 1)) for n in subject.cover.shape[:2]]
        top, left = ((n - size) // 2 for n, size in zip(subject.cover.shape[:2], sizes, strict=True))
        crop = subject.cover[top : top + sizes[0], left : left + sizes[1]]
        yield f"{number} {subject.name}", subject, np.ascontiguousarray(crop)[None]


def try_out(codec: Codec, wanted: int) -> Tally:
    tally = Tally()
    for name, subject, cover in covers():
        if tally.trials >= wanted:
            return tally
        for profile in Profile:
            _try_one(codec, tally, f"{name} {profile}", cover, subject.known_window, profile)
        tally.unsealed += 1
        if codec.reveal(cover) is not None:
            tally.wrong.append(f"{name} without payload")
    raise AssertionError(f"the images are too few: {tally.line()}")


def _try_one(
    codec: Codec,
    tally: Tally,
    name: str,
    cover: np.ndarray,
    window: tuple[float, float] | None,
    profile: Profile,
) -> None:
    rng = seeded("payload", name)
    payload = rng.bytes(int(rng.integers(SHORTEST, LONGEST + 1)))
    try:
        hidden = codec.hide(cover, payload, profile=profile, window=window)
    except HideFailed as failure:
        tally.refused[f"{profile} {failure.code}"] += 1
        return
    tally.sealed[profile] += 1
    arrived = hidden.container if tally.trials % LOSSLESS_SHARE else _compressed_and_back(hidden.container)
    revealed = codec.reveal(arrived)
    if revealed is None:
        tally.lost.append(name)
    elif revealed.payload != payload:
        tally.wrong.append(name)
    if not np.array_equal(_undone(hidden, cover), cover):
        tally.not_undone.append(name)


def _compressed_and_back(container: np.ndarray) -> np.ndarray:
    coded = imagecodecs.jpegls_encode(np.squeeze(container[0]))
    return imagecodecs.jpegls_decode(coded).reshape(container.shape)


def _undone(hidden: Hidden, cover: np.ndarray) -> np.ndarray:
    change = restoring_element.change_of(cover, hidden.container)
    element = restoring_element.close(FACTS, change, KEY, hidden.synthesis)
    facts, stored = restoring_element.open_element(element, KEY, cover.shape)
    return restoring_element.undo(hidden.container, stored, facts).samples


# Some files of the collection have padding behind their pixels.
@pytest.mark.filterwarnings("ignore:The pixel data is .* of excess padding to be removed:UserWarning")
@pytest.mark.parametrize(
    "trials",
    [
        pytest.param(60, id="60"),
        pytest.param(3000, id="3000", marks=[pytest.mark.campaign, pytest.mark.timeout(3600)]),
    ],
)
def test_whatever_was_sealed_comes_back_and_is_undone(
    codec: Codec, trials: int, capsys: pytest.CaptureFixture[str]
) -> None:
    tally = try_out(codec, trials)
    with capsys.disabled():
        print(f"\n{tally.line()}")
    SUMMARIES.mkdir(exist_ok=True)
    (SUMMARIES / f"trials-{trials}.txt").write_text(tally.line() + "\n")
    assert tally.trials >= trials
    assert (tally.lost, tally.wrong, tally.not_undone) == ([], [], [])
