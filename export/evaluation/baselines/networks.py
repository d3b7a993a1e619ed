"""Plain neural baselines: a single autoencoder, a stacked one and a small GAN, trained on images that trained ours.

All take an image as cells of 8 x 8 pixels (64 channels) and carry four bits a cell. Like our networks, they are trained
with rounding, noise and real JPEG. Unlike ours, they have no projections modulo a step. Training takes minutes.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from export.data import data_hash, stored_values, training_items
from export.distort import jpeg, noise
from export.evaluation.baselines.method import (
    Embedded,
    Image,
    at_distortion,
    changed,
    coded,
    decoded,
    luma,
    order,
    rung_for,
    usable,
)
from export.evaluation.images import windowed
from gateway.seal.codec.layout import (
    CELL,
    PIXELS,
    from_cells,
    to_cells,
)

BITS = 4  # of a cell
STEPS = 1500
_SIDE = 12  # of a training crop, cells
_BATCH = 8  # crops


def _convolutions(*channels: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inner, outer in itertools.pairwise(channels):
        layers += [nn.Conv2d(inner, outer, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


@dataclass(frozen=True)
class Architecture:
    """A kind of network.

    name: in the tables.
    hider: channels of its layers, from 64 + bits to 64.
    revealer: channels of its layers, from 64 to bits.
    adversarial: trained against a critic.
    """

    name: str
    hider: tuple[int, ...]
    revealer: tuple[int, ...]
    adversarial: bool = False


ARCHITECTURES = (
    Architecture("single AE", (PIXELS + BITS, 96, PIXELS), (PIXELS, 96, BITS)),
    Architecture("stacked AE", (PIXELS + BITS, 96, 48, 96, PIXELS), (PIXELS, 96, 48, 96, BITS)),
    Architecture("GAN", (PIXELS + BITS, 96, PIXELS), (PIXELS, 96, BITS), adversarial=True),
)


class Pair(nn.Module):
    """A hider and its revealer."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.hider = _convolutions(*architecture.hider)
        self.revealer = _convolutions(*architecture.revealer)

    def change(self, grid: Tensor, secret: Tensor) -> Tensor:
        """The change, (N, 64, rows, columns), with a mean square of 1.

        grid: (N, 64, rows, columns) grey levels.
        secret: (N, 4, rows, columns) of +1 (bit 0), -1 (bit 1) and 0 (unused).
        """
        raw = self.hider(torch.cat([_scaled(grid), secret], dim=1)) * secret.abs().amax(dim=1, keepdim=True)
        return raw / raw.square().mean(dim=(1, 2, 3), keepdim=True).sqrt().clamp_min(1e-6)

    def logits(self, grid: Tensor) -> Tensor:
        """(N, 64, rows, columns) -> (N, 4, rows, columns), positive for bit 0."""
        return self.revealer(_scaled(grid))


def _scaled(grid: Tensor) -> Tensor:
    """Without the mean of each cell, which carries nothing."""
    return (grid - grid.mean(dim=1, keepdim=True)) / 16


def trained(architecture: Architecture, folder: Path, cache: Path) -> Pair:
    """Train a pair with the training items, or read it from the cache when an earlier run had the same data.

    folder: the data folder.
    cache: folder of the trained pairs.
    """
    pair = Pair(architecture)
    name = architecture.name.replace(" ", "-")
    stored = cache / f"{name}-{STEPS}-{data_hash(training_items(folder))[:12]}.pt"
    if not stored.exists():
        torch.manual_seed(1)
        pair = Pair(architecture)
        _train(pair, architecture, _planes(folder))
        cache.mkdir(parents=True, exist_ok=True)
        torch.save(pair.state_dict(), stored)
    pair.load_state_dict(torch.load(stored, weights_only=True))
    pair.eval()
    return pair


def _planes(folder: Path) -> list[NDArray[np.uint8]]:
    """Luma of every third training image, its whole range rendered in 8 bits."""
    planes = []
    for item in training_items(folder)[::3]:
        values = stored_values(item.path)
        low, high = int(values.min()), int(values.max())
        if high > low and min(values.shape[:2]) >= _SIDE * CELL and values.shape[2] in (1, 3):
            planes.append(np.rint(luma(windowed(values, (low, high)))).astype(np.uint8))
    return planes


def _train(pair: Pair, architecture: Architecture, planes: list[NDArray[np.uint8]]) -> None:
    rng = np.random.default_rng(1)
    generator = torch.Generator().manual_seed(1)
    critic = _convolutions(PIXELS, 64, 32, 1)
    learn = torch.optim.Adam(pair.parameters(), 2e-3)
    learn_critic = torch.optim.Adam(critic.parameters(), 1e-3)
    for step in range(STEPS):
        for group in learn.param_groups:
            group["lr"] = 2e-3 * (1 - step / STEPS) + 2e-5
        grid = _crops(planes, rng)
        bits = torch.randint(0, 2, (_BATCH, BITS, _SIDE, _SIDE), generator=generator).float()
        # The strength falls from 4 grey levels to 1.
        strength = 1 + 3 * max(0.0, 1 - 2 * step / STEPS)
        change = pair.change(grid, 1 - 2 * bits)
        container = (grid + strength * change).clamp(0, 255)
        container = container + (container.round() - container).detach()
        loss = functional.binary_cross_entropy_with_logits(
            -pair.logits(_attacked(container, rng, generator)), bits
        )
        if architecture.adversarial:
            loss = loss + 0.05 * functional.softplus(-critic(_scaled(container))).mean()
        learn.zero_grad()
        loss.backward()
        learn.step()
        if architecture.adversarial:
            critic_loss = functional.softplus(critic(_scaled(container.detach()))) + functional.softplus(
                -critic(_scaled(grid))
            )
            learn_critic.zero_grad()
            critic_loss.mean().backward()
            learn_critic.step()


def _crops(planes: list[NDArray[np.uint8]], rng: np.random.Generator) -> Tensor:
    crops = []
    for index in rng.integers(len(planes), size=_BATCH):
        plane = planes[index]
        top, left = (int(rng.integers(n - _SIDE * CELL + 1)) for n in plane.shape)
        crops.append(_grid(plane[top : top + _SIDE * CELL, left : left + _SIDE * CELL]))
    return torch.cat(crops)


def _attacked(container: Tensor, rng: np.random.Generator, generator: torch.Generator) -> Tensor:
    """Leave the container as it is, or add noise, or pass it through JPEG; a third each."""
    kind = int(rng.integers(3))
    if kind == 0:
        return container
    cells = container.permute(0, 2, 3, 1).reshape(-1, PIXELS)
    if kind == 1:
        cells = noise(cells, torch.ones(len(cells), 1), generator)
    else:
        cells = jpeg(cells, int(rng.choice((95, 90, 75))))
    return cells.reshape(container.shape[0], _SIDE, _SIDE, PIXELS).permute(0, 3, 1, 2)


def _grid(plane: NDArray[np.generic]) -> Tensor:
    """(rows, columns) -> (1, 64, rows / 8, columns / 8)."""
    rows, columns = (n // CELL for n in plane.shape)
    cells = torch.from_numpy(to_cells(plane[None]).astype(np.float32))
    return cells.reshape(1, rows, columns, PIXELS).permute(0, 3, 1, 2)


@dataclass(frozen=True)
class Neural:
    """A trained pair, with our framing and LDPC code and with soft decisions."""

    name: str
    pair: Pair

    def embed(self, cover: Image, payload: bytes, target_db: float) -> Embedded | None:
        rows, columns = (n // CELL for n in cover.shape[:2])
        free = usable(cover)
        rung = rung_for(payload, len(free) * BITS)
        if rung is None:
            return None
        chosen = order(len(free) * BITS)[: rung.length]
        places = free[chosen // BITS] * BITS + chosen % BITS
        secret = np.zeros(rows * columns * BITS, np.float32)
        secret[places] = 1 - 2.0 * coded(payload, rung)
        with torch.no_grad():
            signs = torch.from_numpy(secret.reshape(1, rows, columns, BITS)).permute(0, 3, 1, 2)
            unit = self.pair.change(_grid(luma(cover)), signs)
        cells = unit.permute(0, 2, 3, 1).reshape(-1, PIXELS).numpy().astype(np.float64)
        change = from_cells(cells, (1, *cover.shape[:2]))[0]

        def make(strength: float) -> Image:
            return changed(cover, strength * change)

        container = make(at_distortion(cover, target_db, make, 1.0))

        def read(arrived: Image) -> bytes | None:
            if arrived.shape != cover.shape:
                return None
            with torch.no_grad():
                logits = self.pair.logits(_grid(luma(arrived)))
            return decoded(logits.permute(0, 2, 3, 1).reshape(-1).numpy()[places].astype(np.float64), rung)

        return Embedded(container, read)


def neural(folder: Path, cache: Path) -> list[Neural]:
    """The neural baselines; the parameters are those of `trained`."""
    return [Neural(architecture.name, trained(architecture, folder, cache)) for architecture in ARCHITECTURES]
