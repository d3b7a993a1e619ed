"""Write payloads. Attempts of several covers share a run of the network; the change itself is made in integers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.seal.codec import strength
from gateway.seal.codec.card import Card
from gateway.seal.codec.cover import (
    Attempt,
    CoverCells,
    HideFailed,
    Plan,
)
from gateway.seal.codec.layout import BITS, PIXELS, frame_counts
from gateway.seal.codec.networks import Network, levelled
from gateway.seal.codec.plane import GREEN, LUMA, Plane
from gateway.seal.codec.results import Hidden, Profile, Revealed
from gateway.seal.codec.synthesis import Synthesis, scale_of, synthesised


@dataclass(frozen=True)
class Cover:
    """An image and the payload for it. The fields are explained at `Codec.hide`."""

    pixels: NDArray[Any]
    payload: bytes
    padding: tuple[int, ...] = ()
    ybr: bool = False
    window: tuple[float, float] | None = None


class Writing:
    """The attempts to write one payload into one cover, one after the other."""

    def __init__(self, hider: Hider, cover: Cover) -> None:
        colour = cover.pixels.shape[3] > 1
        name = 0 if cover.ybr or not colour else LUMA if hider.card.luma else GREEN
        self.plane = Plane(name, cover.pixels).carried()
        self.failure = HideFailed("the image has too few places for the payload", code="too-small")
        self._cover, self._card, self._profile = cover, hider.card, hider.profile
        self._attempts = self._every_attempt()
        self._container = cover.pixels
        self._change = np.empty((0, PIXELS), np.int32)
        self._synthesis: Synthesis | None = None

    def advance(self) -> bool:
        """Go on to the next attempt. Returns False when none is left; then `failure` tells why."""
        upcoming = next(self._attempts, None)
        if upcoming is None:
            return False
        self.frames, self.attempt, self.plan = upcoming
        return True

    @property
    def unit(self) -> float:
        """Strength of the present attempt, in stored values."""
        return strength.unit_of(self.attempt.unit)

    @property
    def container(self) -> NDArray[Any]:
        """The cover as the present attempt changed it."""
        return self._container

    def finish(self, answer: NDArray[np.float32]) -> None:
        """Turn the answer of the network for the touched cells into changed pixels."""
        plan, numbers = self.plan, np.rint(answer).astype(np.int16)
        change = numbers.astype(np.int32)
        if self._card.amplitudes:
            scale = scale_of(self.unit / self.plane.share)
            change = synthesised(numbers, scale)
            amplitudes = np.zeros((self.plane.count(self.frames), BITS), np.int16)
            amplitudes[plan.touched] = numbers
            self._synthesis = Synthesis(amplitudes, scale, self.plane.carriers)
        self._change = np.clip(change, -plan.down.astype(np.int32), plan.up.astype(np.int32))
        self._container = self.plane.changed(self.frames, plan.touched, self._change)

    def hidden(self, revealed: Revealed) -> Hidden:
        """The result, after the payload was revealed from it."""
        return Hidden(
            container=self._container,
            codec_id=revealed.codec_id,
            profile=revealed.profile,
            coded_bits=revealed.coded_bits,
            max_change=int(np.abs(self._change).max()),
            hint=revealed.hint,
            synthesis=self._synthesis,
        )

    def _every_attempt(self) -> Iterator[tuple[int, Attempt, Plan]]:
        """All attempts, those in the fewest leading frames first."""
        for frames in frame_counts(len(self._cover.pixels)):
            cells = CoverCells(self._card, self.plane, frames, self._cover.padding, self._cover.window)
            try:
                for attempt in cells.attempts(self._cover.payload):
                    yield frames, attempt, cells.plan(self._cover.payload, attempt)
                self.failure = HideFailed("the payload did not come back", code="not-recovered")
            except HideFailed as failure:
                self.failure = failure


class Hider:
    """The hiding network of a codec id."""

    def __init__(
        self, folder: Traversable | Path, card: dict[str, Any], profile: Profile, *, threads: int
    ) -> None:
        self.card, self.profile = Card.of(card), profile
        self._network = Network(
            folder, card["hide"], output=BITS if self.card.amplitudes else PIXELS, threads=threads
        )

    def run(self, writings: Sequence[Writing]) -> None:
        """Write the present attempt of each writing. Those of the same strength share a run."""
        by_unit: dict[float, list[Writing]] = defaultdict(list)
        for writing in writings:
            by_unit[writing.unit].append(writing)
        for unit, members in by_unit.items():
            plans = [writing.plan for writing in members]
            answer = self._network.run(
                unit,
                cells=levelled(np.concatenate([plan.cells for plan in plans])),
                secret=np.concatenate([plan.secret for plan in plans]),
                up=np.concatenate([plan.up for plan in plans]),
                down=np.concatenate([plan.down for plan in plans]),
            )
            ends = np.cumsum([len(plan.cells) for plan in plans])
            for writing, part in zip(members, np.split(answer, ends[:-1]), strict=True):
                writing.finish(part)
