"""Methods without training: LSB replacement, LSB matching, QIM of DCT coefficients, STDM with our error correction.

Chen and Wornell, "Quantization index modulation" (2001), for QIM and STDM; Mielikainen, "LSB matching revisited"
(2006), for the plain form of matching.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dctn, idctn

from export.evaluation.baselines.method import (
    Embedded,
    Image,
    at_distortion,
    changed,
    coded,
    decoded,
    framed,
    luma,
    order,
    rung_for,
    usable,
)
from gateway.seal.codec.layout import (
    CELL,
    from_cells,
    to_cells,
    unframe,
)

_COEFFICIENTS = (
    (0, 1),
    (1, 0),
    (1, 1),
    (0, 2),
    (2, 0),
    (1, 2),
    (2, 1),
    (2, 2),
    (0, 3),
    (3, 0),
    (1, 3),
    (3, 1),
)
_ALONG = np.array([u * CELL + v for u, v in _COEFFICIENTS])
_QIM_PLACES = 4  # of a cell, the lowest frequencies
_STDM_PLACES = 4  # of a cell, each a direction in three coefficients


@dataclass(frozen=True)
class LeastSignificantBit:
    """Writes into the lowest bit of pixels of green, or of the only sample.

    matching: a pixel that must change moves by +1 or -1 at random, instead of only its lowest bit being replaced.
    """

    matching: bool

    @property
    def name(self) -> str:
        return "LSB matching" if self.matching else "LSB"

    def embed(self, cover: Image, payload: bytes, target_db: float) -> Embedded | None:  # noqa: ARG002 - has no strength
        bits, _ = framed(payload)
        sample = 1 if cover.shape[2] == 3 else 0
        if cover[..., sample].size < len(bits):
            return None
        places = order(cover[..., sample].size)[: len(bits)]
        container = cover.copy()
        flat = container[..., sample].reshape(-1).astype(np.int16)
        if self.matching:
            step = np.random.default_rng(len(flat)).choice((-1, 1), len(bits))
            step = np.where(flat[places] == 0, 1, np.where(flat[places] == 255, -1, step))
            flat[places] += step * (flat[places] % 2 != bits)
        else:
            flat[places] += bits - flat[places] % 2
        container[..., sample] = flat.reshape(cover.shape[:2]).astype(np.uint8)

        def read(arrived: Image) -> bytes | None:
            values = arrived[..., sample].reshape(-1)
            return unframe(values[places] % 2) if values.size == flat.size else None

        return Embedded(container, read)


def _spectrum(image: Image) -> NDArray[np.float64]:
    """The coefficients of the orthonormal 8 x 8 DCT of luma that are used, (cells, 12)."""
    cells = to_cells(luma(image)[None]).reshape(-1, CELL, CELL)
    coefficients: NDArray[np.float64] = dctn(cells, axes=(1, 2), norm="ortho").reshape(-1, CELL * CELL)
    return coefficients[:, _ALONG]


def _pixels(change: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """The change of the pixels, (rows, columns), that a change of the coefficients, (cells, 12), makes."""
    full = np.zeros((len(change), CELL * CELL))
    full[:, _ALONG] = change
    cells = idctn(full.reshape(-1, CELL, CELL), axes=(1, 2), norm="ortho").reshape(-1, CELL * CELL)
    rows, columns = shape[:2]
    plane: NDArray[np.float64] = from_cells(cells, (1, rows, columns))[0]
    return plane


def _to_lattice(values: NDArray[np.float64], bits: NDArray[np.uint8], step: float) -> NDArray[np.float64]:
    """The change that moves values to the lattice: multiples of `step` carry 0, those half a step off carry 1."""
    offset = bits * step / 2
    return np.rint((values - offset) / step) * step + offset - values


@dataclass(frozen=True)
class DctQim:
    """Quantises low coefficients of every cell. No error correction: each bit is repeated as often as there is room."""

    name: str = "DCT-QIM"

    def embed(self, cover: Image, payload: bytes, target_db: float) -> Embedded | None:
        bits, _ = framed(payload)
        spectrum = _spectrum(cover)
        cells = usable(cover)
        repeats = len(cells) * _QIM_PLACES // len(bits)
        if not repeats:
            return None
        places = order(len(cells) * _QIM_PLACES)[: repeats * len(bits)]
        rows, columns = cells[places // _QIM_PLACES], places % _QIM_PLACES
        written = np.tile(bits, repeats)

        def make(step: float) -> Image:
            change = np.zeros_like(spectrum)
            change[rows, columns] = _to_lattice(spectrum[rows, columns], written, step)
            return changed(cover, _pixels(change, cover.shape))

        step = at_distortion(cover, target_db, make, 8.0)

        def read(arrived: Image) -> bytes | None:
            values = _spectrum(arrived)
            if len(values) != len(spectrum):
                return None
            soft = np.cos(2 * np.pi * values[rows, columns] / step)
            return unframe((soft.reshape(repeats, -1).sum(axis=0) < 0).astype(np.uint8))

        return Embedded(make(step), read)


@dataclass(frozen=True)
class Stdm:
    """Spread transform dither modulation, with our framing and LDPC code and with soft decisions."""

    name: str = "STDM + LDPC"

    def embed(self, cover: Image, payload: bytes, target_db: float) -> Embedded | None:
        spectrum = _spectrum(cover).reshape(-1, _STDM_PLACES, len(_ALONG) // _STDM_PLACES)
        size, cells = spectrum.shape[0] * _STDM_PLACES, usable(cover)
        rung = rung_for(payload, len(cells) * _STDM_PLACES)
        if rung is None:
            return None
        signs = np.random.default_rng(1).choice((-1.0, 1.0), spectrum.shape) / np.sqrt(spectrum.shape[2])
        chosen = order(len(cells) * _STDM_PLACES)[: rung.length]
        places = cells[chosen // _STDM_PLACES] * _STDM_PLACES + chosen % _STDM_PLACES
        bits = coded(payload, rung)
        projected = (spectrum * signs).sum(axis=2).reshape(-1)

        def make(step: float) -> Image:
            change = np.zeros(size)
            change[places] = _to_lattice(projected[places], bits, step)
            spread_out = (change.reshape(-1, _STDM_PLACES, 1) * signs).reshape(-1, len(_ALONG))
            return changed(cover, _pixels(spread_out, cover.shape))

        step = at_distortion(cover, target_db, make, 12.0)

        def read(arrived: Image) -> bytes | None:
            values = _spectrum(arrived)
            if len(values) * _STDM_PLACES != size:
                return None
            received = (values.reshape(signs.shape) * signs).sum(axis=2).reshape(-1)[places]
            return decoded(np.cos(2 * np.pi * received / step), rung)

        return Embedded(make(step), read)
