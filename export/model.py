"""The pair of networks: a denoising autoencoder over cells of 8 x 8 pixels.

The hider (encoder) takes a cell of the cover and up to 16 secret bits, and returns what to change. The revealer
(decoder) takes a cell of a possibly distorted container, and returns 16 logits. Both project the cell on patterns and
take the projections modulo a step (sine and cosine), so that the texture of the host does not disturb. This is informed
embedding in a lattice, after Chen and Wornell, "Quantization index modulation" (2001). In every step, bit 0 is written
at the point 0 and bit 1 at the point 1/2. Training includes true rounding, with straight-through gradients.

Two hiders share the scheme:

- `SparseHider` (profile fidelity) moves as few pixels as possible by one stored value, and learns which ones. It
  returns the change of every pixel.
- `LatticeHider` (profile robust) moves DCT coefficients to points that JPEG's own quantisation keeps, and learns how
  far to go. It returns amplitudes, and `synthesis` turns them into changes.

Shapes: N cells, 64 pixels (row by row), 16 bits. Stored values are float32. An offset that all pixels of a cell share
changes nothing.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

CELL = 8
PIXELS = CELL * CELL
BITS = 16
GROUP = PIXELS // BITS  # pixels that carry one bit in the sparse scheme

FREQUENCIES = (
    (0, 2), (0, 1), (1, 0), (1, 1), (2, 1), (2, 0), (1, 2), (3, 0),
    (0, 3), (2, 2), (3, 1), (4, 0), (1, 3), (3, 2), (4, 1), (0, 4),
)  # fmt: skip
"""(vertical, horizontal) frequency of each pattern of the profile robust; JPEG quantises the first ones finest."""

QUANTA = (10, 11, 12, 12, 13, 14, 14, 14, 16, 16, 17, 18, 19, 22, 22, 24)
"""JPEG's luminance quantisation of `FREQUENCIES` at quality 50, grey levels (ITU-T T.81, table K.1)."""

AMPLITUDE_MAX = 127  # half units; fits into a signed byte
SLACK_MAX = 0.15  # turns; a hider never leaves a coefficient farther from its lattice point
SLACK = 0.06  # turns; the slack before training


def straight_through(hard: Tensor, soft: Tensor) -> Tensor:
    """The value of `hard` with the gradient of `soft`."""
    return soft + (hard - soft).detach()


def phase(projection: Tensor, step: Tensor) -> Tensor:
    """The place of a projection within its step, -1/2 .. 1/2 turns, with a gradient everywhere."""
    turns = projection / step
    return turns - turns.round().detach()


def sparse_patterns() -> Tensor:
    """(16, 64) of -1, 0, +1. Each bit owns four pixels, one in every quadrant of the cell. Each pattern sums to 0."""
    patterns = torch.zeros(BITS, CELL, CELL)
    for row in range(CELL):
        for column in range(CELL):
            bit = (row % 4) * 4 + column % 4
            patterns[bit, row, column] = 1.0 if (row < 4) == (column < 4) else -1.0
    return patterns.reshape(BITS, PIXELS)


def dct_patterns() -> Tensor:
    """(16, 64) orthonormal DCT-II patterns of `FREQUENCIES`. Each pattern sums to 0."""
    position = torch.arange(CELL, dtype=torch.float64)
    basis = torch.stack([torch.cos(math.pi * (2 * position + 1) * k / (2 * CELL)) for k in range(CELL)])
    basis /= basis.norm(dim=1, keepdim=True)
    return torch.stack([torch.outer(basis[u], basis[v]).flatten() for u, v in FREQUENCIES]).float()


class Analysis(nn.Module):
    """Projections of a cell on 16 patterns without mean.

    patterns: (16, 64).
    steps: (16,), the step of each pattern, in units.
    """

    def __init__(self, patterns: Tensor, steps: Tensor) -> None:
        super().__init__()
        self.register_buffer("patterns", patterns)
        self.register_buffer("steps", steps)

    def forward(self, cells: Tensor) -> Tensor:
        """(N, 64) cells -> (N, 16) projections."""
        return cells @ self.patterns.T

    def errors(self, cells: Tensor, secret: Tensor, unit: Tensor) -> Tensor:
        """How far each projection is from the point of its secret bit, (N, 16) turns, -1/2 .. 1/2."""
        step = self.steps * unit
        return phase(self(cells) - step * (secret < 0) / 2, step)


class Revealer(nn.Module):
    """Logits of 16 bits from a cell; a positive logit means bit 0.

    gain: of the closed form, before training.
    width: of the hidden layer.
    """

    def __init__(self, analysis: Analysis, *, gain: float, width: int = 48) -> None:
        super().__init__()
        self.analysis = analysis
        self.gain = nn.Parameter(torch.full((BITS,), gain))
        self.refine = nn.Sequential(nn.Linear(2 * BITS + PIXELS, width), nn.ReLU(), nn.Linear(width, BITS))
        nn.init.zeros_(self.refine[-1].weight)
        nn.init.zeros_(self.refine[-1].bias)

    def forward(self, cells: Tensor, unit: Tensor) -> Tensor:
        """(N, 64) cells, (1,) unit -> (N, 16) logits."""
        angle = 2 * math.pi * phase(self.analysis(cells), self.analysis.steps * unit)
        sine, cosine = angle.sin(), angle.cos()
        return self.gain * cosine + self.refine(torch.cat([sine, cosine, texture(cells, unit)], dim=1))


class SparseHider(nn.Module):
    """Moves the fewest pixels by single stored values and learns which of a bit's four pixels hides it best."""

    def __init__(self, analysis: Analysis, *, width: int = 64) -> None:
        super().__init__()
        self.analysis = analysis
        self.preference = nn.Sequential(nn.Linear(PIXELS, width), nn.ReLU(), nn.Linear(width, PIXELS))
        owner = sparse_patterns()
        self.register_buffer("sign", owner.sum(dim=0))  # (64,)
        members = torch.stack([row.nonzero().flatten() for row in owner])  # (16, 4) pixels of each bit
        self.register_buffer("members", members)
        # leads from (16, 4) back to the 64 pixels
        self.register_buffer("places", members.flatten().argsort())

    def forward(self, cells: Tensor, secret: Tensor, up: Tensor, down: Tensor, unit: Tensor) -> Tensor:
        """Choose the change of every pixel.

        cells: (N, 64) stored values.
        secret: (N, 16) of +1 (bit 0), -1 (bit 1) and 0 (unused).
        up: (N, 64) room of each pixel above its value, stored values.
        down: (N, 64) room of each pixel below its value, stored values.
        unit: (1,) stored values.

        Returns (N, 64) integers.
        """
        direction, amount = self.moves(cells, secret, up, down, unit)
        return (direction * amount).flatten(1)[:, self.places]

    def moves(
        self, cells: Tensor, secret: Tensor, up: Tensor, down: Tensor, unit: Tensor
    ) -> tuple[Tensor, Tensor]:
        """What the pixels of each bit do; the parameters are those of `forward`.

        Returns directions (-1, 0, +1) and amounts (integers from 0), (N, 16, 4) both.
        """
        error = self.analysis.errors(cells, secret, unit)
        # change of the projection, stored values
        shift = -(error * self.analysis.steps * unit * secret.abs()).round()
        members = self.members
        direction = shift.sign()[:, :, None] * self.sign[members]
        room = torch.where(direction > 0, up[:, members], down[:, members])
        liking = 8 * self.preference(texture(cells, unit)).tanh()[:, members] - 50.0 * (room < 1)
        count = ((shift.abs()[:, :, None] + (GROUP - 1) - ranks(liking)) / GROUP).floor()
        soft = shift.abs()[:, :, None] * liking.softmax(dim=2)
        return direction, straight_through(torch.minimum(count, room), soft)


def ranks(liking: Tensor) -> Tensor:
    """The rank of each entry along the last dimension: 0 for the largest. Of equal entries the first ranks first."""
    columns = liking.unbind(dim=-1)
    places = [torch.zeros_like(column) for column in columns]
    for i, first in enumerate(columns):
        for j in range(i + 1, len(columns)):
            ahead = (first >= columns[j]).to(liking.dtype)
            places[j] = places[j] + ahead
            places[i] = places[i] + 1 - ahead
    return torch.stack(places, dim=-1)


class LatticeHider(nn.Module):
    """Moves DCT coefficients towards lattice points, and learns from the cell how near is near enough.

    The slack is the distance that is left to the lattice point. It saves energy, and it takes away from the noise that
    the bit survives.
    """

    def __init__(self, analysis: Analysis, *, width: int = 48) -> None:
        super().__init__()
        self.analysis = analysis
        self.slack = nn.Sequential(nn.Linear(2 * BITS + PIXELS + 2, width), nn.ReLU(), nn.Linear(width, BITS))
        nn.init.zeros_(self.slack[-1].weight)
        nn.init.constant_(self.slack[-1].bias, math.log(SLACK / (SLACK_MAX - SLACK)))

    def forward(self, cells: Tensor, secret: Tensor, up: Tensor, down: Tensor, unit: Tensor) -> Tensor:
        """Choose the amplitude of every pattern; the parameters are those of `SparseHider.forward`.

        Returns (N, 16) integers, -127 .. 127 half units, 0 where the secret is 0.
        """
        used = secret.abs()
        error = self.analysis.errors(cells, secret, unit)
        distance = error.abs()
        room = torch.log1p(torch.cat([up.amin(1, keepdim=True), down.amin(1, keepdim=True)], dim=1) / unit)
        context = torch.cat([distance * used, used, texture(cells, unit), room], dim=1)
        slack = SLACK_MAX * self.slack(context).sigmoid()
        halves = -2 * error.sign() * (distance - slack).relu() * self.analysis.steps * used
        return straight_through(halves.round().clamp(-AMPLITUDE_MAX, AMPLITUDE_MAX), halves)


def synthesis(amplitudes: Tensor, unit: Tensor, up: Tensor, down: Tensor) -> Tensor:
    """The changes that amplitudes stand for, within the room of each pixel.

    The gateway does the same in integers, see gateway/seal/codec/CODEC.md. The two differ only at ties of rounding.

    amplitudes: (N, 16) half units of the DCT patterns.
    unit: (1,) stored values.
    up: (N, 64) room of each pixel above its value, stored values.
    down: (N, 64) room of each pixel below its value, stored values.

    Returns (N, 64) integers.
    """
    soft = amplitudes @ dct_patterns() * (unit / 2)
    return straight_through(torch.minimum(torch.maximum((soft + 0.5).floor(), -down), up), soft)


def texture(cells: Tensor, unit: Tensor) -> Tensor:
    """(N, 64) deviations from the mean of the cell, compressed so that 8-bit and 16-bit data look alike."""
    deviation = (cells - cells.mean(dim=1, keepdim=True)) / unit
    return deviation.sign() * torch.log1p(deviation.abs())


def build(profile: str) -> tuple[nn.Module, Revealer]:
    """Make an untrained pair, which works already.

    profile: `fidelity` or `robust`.

    Returns (hider, revealer).
    """
    if profile == "fidelity":
        analysis = Analysis(sparse_patterns(), torch.full((BITS,), 4.0))
        return SparseHider(analysis), Revealer(analysis, gain=3.0)
    analysis = Analysis(dct_patterns(), 2.0 * torch.tensor(QUANTA))
    return LatticeHider(analysis), Revealer(analysis, gain=4.0)
