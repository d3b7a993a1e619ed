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

from gateway.errors import GatewayError
from gateway.seal.codec import detect, ldpc
from gateway.seal.codec.layout import BITS, PAYLOAD_MAX, Rung, frame, frame_counts, places, rungs_for, spread
from gateway.seal.codec.networks import Networks, shipped
from gateway.seal.codec.plane import GREEN, LUMA, Plane

_FILLED = (
    0.80  # share of the usable places that message bits may take: above it, puncturing leaves too little
)
_LONGER = 3  # rungs tried at each strength
_STRONGER = 4  # strengths tried


class Profile(StrEnum):
    """What the mark is tuned for."""

    FIDELITY = "fidelity"  # least change; survives everything that keeps pixel values
    ROBUST = "robust"  # also survives lossy compression, at a higher distortion


_NETWORKS = {Profile.FIDELITY: "fidelity-v1", Profile.ROBUST: "robust-v1"}


class HideFailed(GatewayError):
    """The payload can't be hidden in these pixels so that it comes back; `code` says why."""

    hint = "Shorten the record, or accept level digest for such images."

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code  # "too-small" | "too-flat" | "not-recovered"


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
        networks = self._networks[profile]
        colour = LUMA if networks.card.luma else GREEN
        plane = Plane(0 if cover.shape[3] == 1 or ybr else colour, cover)
        failure = HideFailed("the image has too few places for the payload", code="too-small")
        for frames in frame_counts(len(cover)):
            cover_cells = _CoverCells(networks, plane, frames, padding)
            rungs = cover_cells.rungs(payload, whole_code=profile is Profile.ROBUST)
            if not rungs:
                failure = cover_cells.failure(payload)
                continue
            for unit in _units(networks, cover_cells.cells)[:_STRONGER]:
                for rung in rungs[:_LONGER]:
                    change = cover_cells.write(payload, rung, unit)
                    container = plane.changed(change)
                    found = self.reveal(container)
                    if found is not None and found.payload == payload:
                        return Hidden(
                            container=container,
                            codec_id=found.codec_id,
                            profile=profile,
                            coded_bits=found.coded_bits,
                            max_change=int(np.abs(change).max()),
                            hint=found.hint,
                        )
            failure = HideFailed("the payload did not come back from the container", code="not-recovered")
        raise failure

    def reveal(self, container: NDArray[Any], *, hint: dict[str, int] | None = None) -> Revealed | None:
        """The payload hidden in `container` (shape and dtype as in `hide`), or None when there is none."""
        if container.shape[1] < 8 or container.shape[2] < 8:
            return None
        if hint:
            found = next(self._search(container, hint), None)
            if found is not None:
                return found
        return next(self._search(container, {}), None)

    def _search(self, container: NDArray[Any], hint: dict[str, int]) -> Iterator[Revealed]:
        for number, (profile, networks) in enumerate(self._networks.items()):
            if hint.get("profile", number) != number:
                continue
            colour = container.shape[3] > 1
            for name in ((LUMA if networks.card.luma else GREEN), 0) if colour else (0,):
                if hint.get("plane", name) != name:
                    continue
                plane = Plane(name, container)
                for frames in frame_counts(len(container)):
                    if hint.get("frames", frames) == frames:
                        yield from _read(number, profile, networks, plane, frames, hint)


def _read(
    number: int, profile: Profile, networks: Networks, plane: Plane, frames: int, hint: dict[str, int]
) -> Iterator[Revealed]:
    """Everything revealed from the leading frames of a plane, over all strengths."""
    cells = plane.cells(frames)
    order = places(len(cells), networks.card.groups)
    usable = np.ptp(cells, axis=1) > 0
    for unit in _units(networks, cells, everything=True):
        index = networks.card.units.index(unit)
        if hint.get("unit", index) != index:
            continue
        logits = (networks.reveal(cells, unit) * usable[:, None]).ravel()
        for payload, rung, errors in detect.decode(logits[order.written], logits[order.reference]):
            yield Revealed(
                payload=payload,
                codec_id=networks.card.codec_id,
                profile=profile,
                coded_bits=rung.length,
                raw_bit_error_rate=errors,
                hint={"profile": number, "plane": plane.name, "frames": frames, "unit": index},
            )


def _units(networks: Networks, cells: NDArray[np.float32], *, everything: bool = False) -> list[float]:
    """Strengths to try: from the weakest that suits the image upwards; when reading, all, the likely ones first."""
    units = list(networks.card.units)
    if not networks.card.range_unit:
        return units
    grey_level = max(1.0, float(cells.max() - cells.min()) / 255)
    start = min(range(len(units)), key=lambda i: abs(np.log(units[i] / grey_level)))
    return sorted(units, key=lambda u: abs(np.log(u / units[start]))) if everything else units[start:]


class _CoverCells:
    """The leading frames of a cover, cut into cells, ready to be written."""

    def __init__(self, networks: Networks, plane: Plane, frames: int, padding: tuple[int, ...]) -> None:
        self._networks = networks
        self.cells = plane.cells(frames)
        self._order = places(len(self.cells), networks.card.groups).written
        self._usable = np.ptp(self.cells, axis=1) > 0
        self._up, self._down = plane.room(frames, padding)

    def rungs(self, payload: bytes, *, whole_code: bool) -> list[Rung]:
        """Rungs with enough usable places, shortest first; `whole_code`: prefer those that send all parity."""
        enough = [
            rung
            for rung in rungs_for(len(payload))
            if rung.length <= len(self._order)
            and self._usable[self._order[: rung.length] // BITS].sum() * _FILLED
            >= ldpc.message_bits(rung.lift)
        ]
        return [rung for rung in enough if rung.eighths >= 8] or enough if whole_code else enough

    def failure(self, payload: bytes) -> HideFailed:
        """Why `rungs` is empty."""
        if rungs_for(len(payload))[0].length > len(self._order):
            return HideFailed("the image has too few places for the payload", code="too-small")
        return HideFailed("too much of the image is flat", code="too-flat")

    def write(self, payload: bytes, rung: Rung, unit: float) -> NDArray[np.int32]:
        """(cells, 64) changes that write the payload; only cells with a written place are touched."""
        bits = spread(ldpc.encode(frame(payload, rung.lift), rung.lift), rung)
        plan = np.zeros(len(self.cells) * BITS, np.float32)
        plan[self._order[: rung.length]] = 1.0 - 2.0 * bits
        secret = plan.reshape(-1, BITS) * self._usable[:, None]
        touched = secret.any(axis=1)
        change = np.zeros(self.cells.shape, np.int32)
        change[touched] = self._networks.hide(
            self.cells[touched], secret[touched], self._up[touched], self._down[touched], unit
        )
        return change
