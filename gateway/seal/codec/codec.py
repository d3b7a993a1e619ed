"""Hide a payload in pixels, reveal it again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.seal.codec.cover import CoverCells, HideFailed
from gateway.seal.codec.layout import CELL, PAYLOAD_MAX, frame_counts
from gateway.seal.codec.networks import Networks, shipped
from gateway.seal.codec.plane import GREEN, LUMA, Plane
from gateway.seal.codec.reading import likely_units, read, rising_units

_STRONGER = 4  # strengths tried


class Profile(StrEnum):
    """What the mark is tuned for."""

    FIDELITY = "fidelity"  # least change; survives everything that keeps pixel values
    ROBUST = "robust"  # also survives lossy compression, at a higher distortion


_NETWORKS = {Profile.FIDELITY: "fidelity-v1", Profile.ROBUST: "robust-v1"}


@dataclass(frozen=True, kw_only=True)
class Hidden:
    """What `hide` made.

    container: like the cover in shape and dtype. max_change: largest change of a stored value.
    hint: small mapping of str to int that speeds up `reveal`; never needed by it.
    """

    container: NDArray[Any]
    codec_id: str
    profile: Profile
    coded_bits: int
    max_change: int
    hint: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class Revealed:
    """What `reveal` found. `raw_bit_error_rate`: share of the written places that read wrong before correction."""

    payload: bytes
    codec_id: str
    profile: Profile
    coded_bits: int
    raw_bit_error_rate: float
    hint: dict[str, int]


class Codec:
    """Loaded networks; one per worker process, used from one thread at a time."""

    def __init__(self, networks: dict[Profile, Networks]) -> None:
        self._networks = networks
        self.provider = next(iter(networks.values())).provider

    @classmethod
    def load(cls, folder: Traversable | Path | None = None, *, threads: int = 1) -> Codec:
        """Load the networks of `folder` (default: those shipped in the package `onnx_models`).

        Raises ModelFileError when a file is missing or its hash differs from its card.
        """
        where = shipped() if folder is None else folder
        return cls({profile: Networks(where, name, threads=threads) for profile, name in _NETWORKS.items()})

    def hide(
        self,
        cover: NDArray[Any],
        payload: bytes,
        *,
        profile: Profile = Profile.FIDELITY,
        padding: tuple[int, ...] = (),
        ybr: bool = False,
    ) -> Hidden:
        """Hide `payload` so that `reveal` returns exactly it; proven by revealing before returning.

        cover: (frames, rows, columns, samples), integer stored values of 8 or 16 bit; samples 1, or 3.
        payload: 1 .. 1000 bytes. padding: stored values that must not be touched. ybr: the three samples are Y, Cb, Cr.
        No stored value leaves the cover's own min..max. Raises HideFailed.
        """
        if not 1 <= len(payload) <= PAYLOAD_MAX:
            raise HideFailed(f"a payload of {len(payload)} bytes can't be hidden", code="too-small")
        if min(cover.shape[1:3]) < CELL:
            raise HideFailed("the image is smaller than a cell", code="too-small")
        networks = self._networks[profile]
        plane = Plane(self._planes(profile, cover)[-1 if ybr else 0], cover)
        failure = HideFailed("the image has too few places for the payload", code="too-small")
        for frames in frame_counts(len(cover)):
            cover_cells = CoverCells(networks, plane, frames, padding)
            units = rising_units(networks.card, cover_cells.cells)[:_STRONGER]
            spend = profile is Profile.ROBUST
            failure = cover_cells.failure(payload)
            for unit in units:
                for rung in cover_cells.rungs(payload, unit=unit, spend=spend):
                    failure = HideFailed("the payload did not come back", code="not-recovered")
                    change = cover_cells.write(payload, rung, unit)
                    container = plane.changed(change)
                    found = self._found_again(container, payload, self._hint(profile, plane, frames, unit))
                    if found is not None:
                        return Hidden(
                            container=container,
                            codec_id=found.codec_id,
                            profile=profile,
                            coded_bits=found.coded_bits,
                            max_change=int(np.abs(change).max()),
                            hint=found.hint,
                        )
        raise failure

    def reveal(
        self, container: NDArray[Any], *, hint: dict[str, int] | None = None, deep: bool = False
    ) -> Revealed | None:
        """The payload hidden in `container` (shape and dtype as in `hide`), or None when there is none.

        deep: look harder, for about a second, where lossy compression has blurred the traces of a mark.
        """
        if min(container.shape[1:3]) < CELL:
            return None
        if hint:
            found = next(self._search(container, hint), None)
            if found is not None:
                return found
        found = next(self._search(container, {}), None)
        if found is None and deep:
            found = next(self._search(container, {}, deep=True), None)
        return found

    def _found_again(self, container: NDArray[Any], payload: bytes, hint: dict[str, int]) -> Revealed | None:
        """What a reader who knows nothing reveals, if it is the payload."""
        found = next(self._search(container, hint), None)
        if found is not None and hint != self._first_look(container):
            found = self.reveal(container)
        return found if found is not None and found.payload == payload else None

    def _first_look(self, container: NDArray[Any]) -> dict[str, int]:
        """The hint that a reader without one tries first: reading with it is reading blindly."""
        profile = next(iter(self._networks))
        plane = Plane(self._planes(profile, container)[0], container)
        unit = likely_units(self._networks[profile].card, plane.cells(1))[0]
        return self._hint(profile, plane, 1, unit)

    def _planes(self, profile: Profile, container: NDArray[Any]) -> tuple[int, ...]:
        if container.shape[3] == 1:
            return (0,)
        return (LUMA if self._networks[profile].card.luma else GREEN, 0)

    def _hint(self, profile: Profile, plane: Plane, frames: int, unit: float) -> dict[str, int]:
        number = list(self._networks).index(profile)
        units = self._networks[profile].card.units
        return {"profile": number, "plane": plane.name, "frames": frames, "unit": units.index(unit)}

    def _search(
        self, container: NDArray[Any], hint: dict[str, int], *, deep: bool = False
    ) -> Iterator[Revealed]:
        for number, (profile, networks) in enumerate(self._networks.items()):
            if hint.get("profile", number) != number:
                continue
            for name in self._planes(profile, container):
                if hint.get("plane", name) != name:
                    continue
                plane = Plane(name, container)
                for frames in frame_counts(len(container)):
                    if hint.get("frames", frames) == frames:
                        for found in read(networks, plane, frames, hint, deep=deep):
                            yield Revealed(
                                payload=found.payload,
                                codec_id=networks.card.codec_id,
                                profile=profile,
                                coded_bits=found.rung.length,
                                raw_bit_error_rate=found.raw_bit_error_rate,
                                hint=self._hint(profile, plane, frames, found.unit)
                                | {"lift": found.rung.lift, "eighths": found.rung.eighths},
                            )
