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
from gateway.seal.codec.layout import (
    BITS,
    PAYLOAD_MAX,
    Rung,
    frame,
    frame_counts,
    from_cells,
    places,
    rungs_for,
    spread,
    to_cells,
)
from gateway.seal.codec.networks import Networks, shipped

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, as JPEG uses it
_GREEN = 1
_FILLED = 0.80       # share of the usable places that message bits may take: above it, puncturing leaves too little
_LONGER = 3          # rungs tried at each strength
_STRONGER = 4        # strengths tried


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


class _Plane:
    """The plane of an image that carries the mark: sample 0, green, or luma."""

    def __init__(self, name: int, pixels: NDArray[Any]) -> None:
        self.name = name  # a sample, or 3 for luma
        self.pixels = pixels

    def cells(self, frames: int) -> NDArray[np.float32]:
        shown = self.pixels[:frames]
        plane = shown @ _LUMA if self.name == _LUMA_PLANE else shown[..., self.name]
        return to_cells(plane).astype(np.float32)

    def room(self, frames: int, padding: tuple[int, ...]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """How far each pixel may go up and down: to the image's own extremes; not at all where it is padding."""
        marked = self.pixels if self.name == _LUMA_PLANE else self.pixels[..., self.name : self.name + 1]
        low, high = int(marked.min()), int(marked.max())
        shown = marked[:frames].astype(np.int32)
        fixed = np.isin(shown, padding).any(axis=-1)
        up = np.where(fixed, 0, (high - shown).min(axis=-1))
        down = np.where(fixed, 0, (shown - low).min(axis=-1))
        return to_cells(up).astype(np.float32), to_cells(down).astype(np.float32)

    def changed(self, change: NDArray[np.int32]) -> NDArray[Any]:
        """The pixels with `change` (cells, 64) added to the leading frames."""
        frames = min(len(self.pixels), len(change) // max(1, self._cells_per_frame()))
        added = from_cells(change, (frames, *self.pixels.shape[1:3]))
        container = self.pixels.astype(np.int32)
        if self.name == _LUMA_PLANE:
            container[:frames] += added[..., None]
        else:
            container[:frames, ..., self.name] += added
        return container.astype(self.pixels.dtype)

    def _cells_per_frame(self) -> int:
        return (self.pixels.shape[1] // 8) * (self.pixels.shape[2] // 8)


_LUMA_PLANE = 3


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
        name = 0 if cover.shape[3] == 1 or ybr else (_LUMA_PLANE if networks.card.luma else _GREEN)
        plane = _Plane(name, cover)
        failure = HideFailed("the image has too few places for the payload", code="too-small")
        for frames in frame_counts(len(cover)):
            cells = plane.cells(frames)
            order = places(len(cells), networks.card.groups)
            usable = np.ptp(cells, axis=1) > 0
            available = int(usable[order // BITS].sum())
            rungs = [rung for rung in rungs_for(len(payload)) if rung.length <= len(order)]
            if not rungs:
                continue
            share = available / len(order)
            enough = [r for r in rungs if r.length * share * _FILLED >= ldpc.message_bits(r.lift)]
            if profile is Profile.ROBUST:
                enough = [r for r in enough if r.eighths >= 8] or enough
            if not enough:
                failure = HideFailed("too much of the image is flat", code="too-flat")
                continue
            up, down = plane.room(frames, padding)
            for unit in _units(networks, cells)[:_STRONGER]:
                for rung in enough[:_LONGER]:
                    written = _write(networks, cells, usable, up, down, payload, rung, order, unit)
                    container = plane.changed(written)
                    found = self.reveal(container)
                    if found is not None and found.payload == payload:
                        return Hidden(
                            container=container,
                            codec_id=found.codec_id,
                            profile=profile,
                            coded_bits=found.coded_bits,
                            max_change=int(np.abs(written).max()),
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
            for name in ((_LUMA_PLANE if networks.card.luma else _GREEN), 0) if colour else (0,):
                if hint.get("plane", name) != name:
                    continue
                plane = _Plane(name, container)
                for frames in frame_counts(len(container)):
                    if hint.get("frames", frames) == frames:
                        yield from _read(number, profile, networks, plane, frames, hint)


def _read(
    number: int, profile: Profile, networks: Networks, plane: _Plane, frames: int, hint: dict[str, int]
) -> Iterator[Revealed]:
    """Everything revealed from the leading frames of a plane, over all strengths."""
    cells = plane.cells(frames)
    order = places(len(cells), networks.card.groups)
    usable = np.ptp(cells, axis=1) > 0
    for unit in _units(networks, cells, everything=True):
        index = networks.card.units.index(unit)
        if hint.get("unit", index) != index:
            continue
        logits = networks.reveal(cells, unit) * usable[:, None]
        for payload, rung, errors in detect.decode(logits.ravel()[order]):
            yield Revealed(
                payload=payload,
                codec_id=networks.card.codec_id,
                profile=profile,
                coded_bits=rung.length,
                raw_bit_error_rate=errors,
                hint={"profile": number, "plane": plane.name, "frames": frames, "unit": index},
            )


def _write(
    networks: Networks,
    cells: NDArray[np.float32],
    usable: NDArray[np.bool_],
    up: NDArray[np.float32],
    down: NDArray[np.float32],
    payload: bytes,
    rung: Rung,
    order: NDArray[np.int64],
    unit: float,
) -> NDArray[np.int32]:
    """(cells, 64) changes that write the payload; only cells with a written place are touched."""
    bits = spread(ldpc.encode(frame(payload, rung.lift), rung.lift), rung)
    secret = np.zeros(len(cells) * BITS, np.float32)
    secret[order[: rung.length]] = 1.0 - 2.0 * bits
    secret = secret.reshape(-1, BITS) * usable[:, None]
    touched = secret.any(axis=1)
    change = np.zeros(cells.shape, np.int32)
    change[touched] = networks.hide(cells[touched], secret[touched], up[touched], down[touched], unit)
    return change


def _units(networks: Networks, cells: NDArray[np.float32], *, everything: bool = False) -> list[float]:
    """Strengths to try: from the weakest that suits the image upwards; when reading, all, the likely ones first."""
    units = list(networks.card.units)
    if not networks.card.range_unit:
        return units
    grey_level = max(1.0, float(cells.max() - cells.min()) / 255)
    start = min(range(len(units)), key=lambda i: abs(np.log(units[i] / grey_level)))
    return sorted(units, key=lambda u: abs(np.log(u / units[start]))) if everything else units[start:]
