"""The pair of networks: a denoising autoencoder over cells of 8 x 8 pixels.

The hider (encoder) sees a cell of the cover and up to 16 secret bits and returns integer changes of its 64 pixels; the
revealer (decoder) sees a cell of a possibly distorted container and returns 16 logits. Both look at the cell through
projections modulo a step (sine and cosine), so that the texture of the host does not disturb: informed, lattice-like
embedding after Chen and Wornell, "Quantization index modulation" (2001). The secret plane is written at the points
0 (bit 0) and 1/2 (bit 1) of every step. True rounding is in the loop, with straight-through gradients.

Two hiders share the scheme. `SparseHider` (profile fidelity) moves as few pixels as possible by one stored value and
learns which ones; `DenseHider` (profile robust) writes smooth patterns that lossy compression keeps.

Shapes: N cells, 64 pixels (row by row), 16 bits. Stored values come in as float32 with an offset removed per cell.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

CELL = 8
PIXELS = CELL * CELL
BITS = 16
GROUP = PIXELS // BITS  # pixels that carry one bit in the sparse scheme


def straight_through(hard: Tensor, soft: Tensor) -> Tensor:
    """The value of `hard` with the gradient of `soft`."""
    return soft + (hard - soft).detach()


def phase(projection: Tensor, step: Tensor) -> Tensor:
    """Place within the step, -1/2 .. 1/2, with a gradient everywhere."""
    turns = projection / step
    return turns - turns.round().detach()


def sparse_patterns() -> Tensor:
    """(16, 64) of -1, 0, +1: each bit owns four pixels, one in every quadrant of the cell; each sums to 0."""
    patterns = torch.zeros(BITS, CELL, CELL)
    for row in range(CELL):
        for column in range(CELL):
            bit = (row % 4) * 4 + column % 4
            patterns[bit, row, column] = 1.0 if (row < 4) == (column < 4) else -1.0
    return patterns.reshape(BITS, PIXELS)


def cosine_patterns() -> Tensor:
    """(16, 64) orthonormal DCT-II patterns, lowest frequencies first, without the mean."""
    place = torch.arange(CELL)
    basis = torch.stack([torch.cos(math.pi * (2 * place + 1) * k / (2 * CELL)) for k in range(CELL)])
    basis /= basis.norm(dim=1, keepdim=True)
    order = sorted(
        ((u, v) for u in range(CELL) for v in range(CELL) if u + v),
        key=lambda uv: (sum(uv), abs(uv[0] - uv[1]), uv),
    )
    return torch.stack([torch.outer(basis[u], basis[v]).flatten() for u, v in order[:BITS]])


class Analysis(nn.Module):
    """Projections of a cell on 16 zero-mean patterns."""

    def __init__(self, patterns: Tensor, *, learn: bool) -> None:
        super().__init__()
        self.patterns = nn.Parameter(patterns, requires_grad=learn)

    def forward(self, cells: Tensor) -> Tensor:  # (N, 64) -> (N, 16)
        return cells @ (self.patterns - self.patterns.mean(dim=1, keepdim=True)).T


class Revealer(nn.Module):
    """Logits of 16 bits (positive: bit 0) from a cell."""

    def __init__(self, patterns: Tensor, step: float, *, learn_patterns: bool, width: int = 48) -> None:
        super().__init__()
        self.analysis = Analysis(patterns.clone(), learn=learn_patterns)
        self.log_step = nn.Parameter(torch.full((BITS,), math.log(step)), requires_grad=learn_patterns)
        self.gain = nn.Parameter(torch.full((BITS,), 3.0))
        self.refine = nn.Sequential(nn.Linear(2 * BITS + PIXELS, width), nn.ReLU(), nn.Linear(width, BITS))
        nn.init.zeros_(self.refine[-1].weight)
        nn.init.zeros_(self.refine[-1].bias)

    def forward(self, cells: Tensor, unit: Tensor) -> Tensor:  # (N, 64), (1,) -> (N, 16)
        turn = 2 * math.pi * phase(self.analysis(cells), self.log_step.exp() * unit)
        sine, cosine = turn.sin(), turn.cos()
        return self.gain * cosine + self.refine(torch.cat([sine, cosine, texture(cells, unit)], dim=1))


class SparseHider(nn.Module):
    """Moves the fewest pixels by single stored values and learns which of a bit's four pixels hides it best."""

    def __init__(self, revealer: Revealer, *, width: int = 64) -> None:
        super().__init__()
        self.analysis, self.log_step = revealer.analysis, revealer.log_step
        self.preference = nn.Sequential(nn.Linear(PIXELS, width), nn.ReLU(), nn.Linear(width, PIXELS))
        owner = sparse_patterns()
        self.register_buffer("sign", owner.sum(dim=0))  # (64,)
        order = torch.stack([row.nonzero().flatten() for row in owner])  # (16, 4) pixels of each bit
        self.register_buffer("members", order)
        self.register_buffer("places", order.flatten().argsort())  # back from (16, 4) to the 64 pixels

    def forward(self, cells: Tensor, secret: Tensor, up: Tensor, down: Tensor, unit: Tensor) -> Tensor:
        """(N, 64), (N, 16) of -1/0/+1, (N, 64) room above, (N, 64) room below, (1,) -> (N, 64) integer changes."""
        direction, amount = self.moves(cells, secret, up, down, unit)
        return (direction * amount).flatten(1)[:, self.places]

    def moves(
        self, cells: Tensor, secret: Tensor, up: Tensor, down: Tensor, unit: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Direction (-1, 0, +1) and amount (integers from 0) of each bit's pixels, (N, 16, 4) both."""
        step = self.log_step.exp() * unit
        error = phase(self.analysis(cells) - step * (secret < 0) / 2, step)
        wanted = -(error * step * secret.abs()).round()  # change of the projection, stored values
        members = self.members
        direction = wanted.sign()[:, :, None] * self.sign[members]
        room = torch.where(direction > 0, up[:, members], down[:, members])
        liking = 8 * self.preference(texture(cells, unit)).tanh()[:, members] - 50.0 * (room < 1)
        count = ((wanted.abs()[:, :, None] + (GROUP - 1) - ranks(liking)) / GROUP).floor()
        soft = wanted.abs()[:, :, None] * liking.softmax(dim=2)
        return direction, straight_through(torch.minimum(count, room), soft)


def ranks(liking: Tensor) -> Tensor:
    """Place of each of the last dimension's entries, 0 = largest; of equal ones the first comes first."""
    columns = liking.unbind(dim=-1)
    places = [torch.zeros_like(column) for column in columns]
    for i, first in enumerate(columns):
        for j in range(i + 1, len(columns)):
            ahead = (first >= columns[j]).to(liking.dtype)
            places[j] = places[j] + ahead
            places[i] = places[i] + 1 - ahead
    return torch.stack(places, dim=-1)


class DenseHider(nn.Module):
    """Writes smooth patterns; learns how far to go to the lattice point and with which shapes."""

    def __init__(self, revealer: Revealer, *, width: int = 64) -> None:
        super().__init__()
        self.analysis, self.log_step = revealer.analysis, revealer.log_step
        self.synthesis = nn.Parameter(revealer.analysis.patterns.detach().clone())
        self.refine = nn.Sequential(nn.Linear(3 * BITS + PIXELS, width), nn.ReLU(), nn.Linear(width, BITS))
        nn.init.zeros_(self.refine[-1].weight)
        nn.init.zeros_(self.refine[-1].bias)

    def forward(self, cells: Tensor, secret: Tensor, up: Tensor, down: Tensor, unit: Tensor) -> Tensor:
        step = self.log_step.exp() * unit
        used = secret.abs()
        error = phase(self.analysis(cells) - step * (secret < 0) / 2, step)
        turn = 2 * math.pi * error
        context = torch.cat([error * used, turn.sin() * used, used, texture(cells, unit)], dim=1)
        moves = used * step * (self.refine(context) - error)
        soft = moves @ (self.synthesis - self.synthesis.mean(dim=1, keepdim=True))
        return straight_through(torch.minimum(torch.maximum(soft.round(), -down), up), soft)


def texture(cells: Tensor, unit: Tensor) -> Tensor:
    """(N, 64) deviations from the cell's mean, compressed so that 8- and 16-bit data look alike."""
    deviation = (cells - cells.mean(dim=1, keepdim=True)) / unit
    return deviation.sign() * torch.log1p(deviation.abs())


def build(profile: str) -> tuple[nn.Module, Revealer]:
    """Fresh (hider, revealer) of a profile."""
    if profile == "fidelity":
        revealer = Revealer(sparse_patterns(), 4.0, learn_patterns=False)
        return SparseHider(revealer), revealer
    revealer = Revealer(cosine_patterns(), 28.0, learn_patterns=True)
    return DenseHider(revealer), revealer
