"""Train a hider and its revealer:  python -m export.train [--profile fidelity] [--data FOLDER] [--out FOLDER]

Resumes from OUT/PROFILE.pt when it is there, and ends with the same parameters as a run that was never interrupted.
Progress goes to the terminal, curves go to OUT/PROFILE.csv. Every batch mixes images of one kind, hides random bits at
a random density, distorts the result with real codecs and noise, and reads the bits. A step takes 0.03 s on one core.
"""

from __future__ import annotations

import argparse
import csv
import random
import time
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  the name every PyTorch reader knows
from numpy.typing import NDArray
from torch import Tensor, nn

from export import distort
from export.data import COLLECTION, Cells, cells_of, split, stored_values, training_items
from export.model import BITS, CELL, PIXELS, QUANTA, build, synthesis

CELLS = 4096  # of a batch; as many as an image of 512 x 512 has
IMAGES = 8  # that share a batch
STEPS = {"fidelity": 6_000, "robust": 16_000}  # minutes on one core: 5 and 10
RATE = 2e-3  # Adam; annealed to 0 over the run
CHECKPOINT = 500  # steps from one checkpoint to the next
COLUMNS = ("step", "loss", "bce", "errors", "energy", "penalty")  # of the curves

PLACES = 4  # robust; patterns of a group, all of which a touched cell carries
MARGIN, WRITER_MARGIN, LEAST_DEVIATION = 5.0, 3.0, 0.7
"""What a cell of the profile robust needs to be read and to be written, in units; see CODEC.md. The card has them."""

SPREAD = 1.5  # how far a cell is taken to reach to both sides of its mean, standard deviations
# Robust; what a bit of the first group may cost, squared units. 3000 bits in 512 x 512 are then at 52 dB.
ENERGY = 36.0
GREY_LEVELS = 255.0  # of an 8-bit rendering


class Chance:
    """The random choices of one step. The same seed and step give the same choices, whatever was drawn before."""

    def __init__(self, seed: int, step: int) -> None:
        self.plain = random.Random(f"{seed}/{step}")
        self.numpy = np.random.default_rng((seed, step))
        self.torch = torch.Generator().manual_seed(self.plain.getrandbits(63))


@dataclass
class Batch:
    """What one step hides and where.

    cells: (N, 64) stored values.
    up: (N, 64) room above each value, stored values.
    down: (N, 64) room below each value, stored values.
    secret: (N, 16) of +1 (bit 0), -1 (bit 1) and 0 (unused).
    unit: (1,) stored values.
    low: the stored value at which an 8-bit rendering begins.
    grey: the size of one grey level of this rendering, stored values.
    """

    cells: Tensor
    up: Tensor
    down: Tensor
    secret: Tensor
    unit: Tensor
    low: float
    grey: float

    @property
    def high(self) -> float:
        """The stored value at which the 8-bit rendering ends."""
        return self.low + GREY_LEVELS * self.grey


def usable(
    cells: Tensor, unit: Tensor, low: float, high: float, *, margin: float, deviation: float
) -> Tensor:
    """Which cells can be used, (N,) bool; a flat cell never can.

    low, high: the limits of the stored values.
    margin: the distance that a cell needs from both limits, units.
    deviation: the standard deviation that a cell needs, units.
    """
    mean, spread = cells.mean(dim=1), cells.std(dim=1, correction=0)
    room = torch.minimum(mean - low, high - mean) - SPREAD * spread
    return (room >= margin * unit) & (spread >= deviation * unit) & (spread > 0)


class Source:
    """Draws batches from the training images, each kind of image equally often."""

    def __init__(self, folder: Path, profile: str) -> None:
        self.sparse = profile == "fidelity"
        self.kinds: dict[str, list[Cells]] = defaultdict(list)
        for item in split(training_items(folder))[0]:
            cells = cells_of(stored_values(item.path), sample=1 if self.sparse else None)
            if not self.sparse and cells.unit == 1:
                cells = _writable(cells)
            if len(cells.values):
                self.kinds[item.kind].append(cells)

    def draw(self, chance: Chance) -> Batch:
        """A batch of cells of one kind of image. Their images have the same unit, so that one unit serves the batch."""
        kind = chance.plain.choice(sorted(self.kinds))
        image = chance.plain.choice(self.kinds[kind])
        alike = [cells for cells in self.kinds[kind] if cells.unit == image.unit]
        parts, ups, downs = [], [], []
        for cells in [image, *chance.plain.choices(alike, k=IMAGES - 1)]:
            rows = cells.values[chance.numpy.integers(0, len(cells.values), CELLS // IMAGES)]
            parts.append(rows)
            ups.append(cells.high - rows)
            downs.append(rows - cells.low)
        values, up, down = (
            torch.from_numpy(np.concatenate(rows).astype(np.float32)) for rows in (parts, ups, downs)
        )
        if self.sparse:
            secret = self._sparse_secret(chance)
            unit = torch.tensor([chance.plain.choice((1.0, 1.0, 2.0, 4.0))])
            return Batch(values - image.low, up, down, secret, unit, 0.0, 1.0)
        low, grey = self._rendering(image, values, chance)
        unit = torch.tensor([grey * chance.plain.choice((1.0, 1.0, 1.0, 1.0, 1.41, 2.0))])
        batch = Batch(values, up, down, self._grouped_secret(chance), unit, low, grey)
        writable = usable(values, unit, low, batch.high, margin=WRITER_MARGIN, deviation=0.0)
        batch.secret *= writable[:, None]
        return batch

    @staticmethod
    def _sparse_secret(chance: Chance) -> Tensor:
        used = chance.numpy.random((CELLS, BITS)) < chance.plain.choice((0.05, 0.15, 0.3, 0.6))
        return _bits(used, chance)

    @staticmethod
    def _grouped_secret(chance: Chance) -> Tensor:
        """Secrets that fill one group after the other; of the last group, a share of the cells is touched."""
        last = chance.plain.choices(range(BITS // PLACES), weights=(14, 3, 2, 1))[0]
        used = np.zeros((CELLS, BITS), bool)
        used[:, : last * PLACES] = True
        touched = chance.numpy.random(CELLS) < chance.plain.uniform(0.05, 0.6)
        used[touched, last * PLACES : (last + 1) * PLACES] = True
        return _bits(used, chance)

    @staticmethod
    def _rendering(image: Cells, values: Tensor, chance: Chance) -> tuple[float, float]:
        """Choose an 8-bit rendering: an 8-bit image as it is, or a window around some cell of a deeper image.

        Returns where it begins and the size of its grey level, stored values.
        """
        if image.unit == 1:
            return 0.0, 1.0
        grey = max(1.0, image.unit * chance.plain.choice((1.0, 0.5, 0.25)))
        low = values[chance.plain.randrange(len(values))].mean().item() - GREY_LEVELS * grey / 2
        return min(max(low, image.low), max(image.low, image.high - GREY_LEVELS * grey)), grey


def _writable(cells: Cells) -> Cells:
    """Only the cells of an 8-bit image that a writer of the robust profile touches."""
    values = torch.from_numpy(cells.values.astype(np.float32))
    writable = usable(values, torch.ones(1), 0.0, GREY_LEVELS, margin=WRITER_MARGIN, deviation=0.0)
    return Cells(cells.values[writable.numpy()], cells.unit, cells.low, cells.high)


def _bits(used: NDArray[np.bool_], chance: Chance) -> Tensor:
    """Random bits, +1 or -1, at the used places, and 0 at the others."""
    secret = np.where(used, chance.numpy.integers(0, 2, used.shape) * 2 - 1, 0)
    return torch.from_numpy(secret.astype(np.float32))


def sparse_loss(
    hider: nn.Module, revealer: nn.Module, batch: Batch, chance: Chance
) -> tuple[Tensor, dict[str, float]]:
    """The loss of a batch of the profile fidelity, and the figures for the curves."""
    change = hider(batch.cells, batch.secret, batch.up, batch.down, batch.unit)
    arrived = batch.cells + change
    used = batch.secret != 0
    energy = (change / batch.unit).square().sum() / used.sum()
    if chance.plain.random() < 0.5:
        sigma = torch.full((len(arrived), 1), chance.plain.choice((0.2, 0.3, 0.4))) * batch.unit
        arrived = distort.noise(arrived, sigma, chance.torch)
    _, amount = hider.moves(batch.cells, batch.secret, batch.up, batch.down, batch.unit)
    # Counted by amount and not by |change|, so that a pixel that stays has a gradient, too.
    shown = (amount * visibility(batch.cells, batch.unit)[:, hider.members]).sum() / used.sum()
    return _loss(revealer(arrived, batch.unit), batch, used, energy, 0.2 * shown / batch.unit.squeeze())


def lattice_loss(
    hider: nn.Module, revealer: nn.Module, batch: Batch, chance: Chance
) -> tuple[Tensor, dict[str, float]]:
    """The loss of a batch of the profile robust, and the figures for the curves.

    The energy is that of the written coefficients relative to their quantum, scaled to the quanta of the first group,
    so that one budget serves all groups.
    """
    amplitudes = hider(batch.cells, batch.secret, batch.up, batch.down, batch.unit)
    container = batch.cells + synthesis(amplitudes, batch.unit, batch.up, batch.down)
    arrived, unit, low, high = distorted(container, batch, chance)
    readable = usable(arrived.detach(), unit, low, high, margin=MARGIN, deviation=LEAST_DEVIATION)
    used = batch.secret != 0
    quanta = torch.tensor(QUANTA, dtype=torch.float32)
    relative = (amplitudes / 2 / quanta).square().sum() / used.sum().clamp(min=1)
    energy = relative * quanta[:PLACES].square().mean()
    penalty = 0.5 * F.relu(energy / ENERGY - 1) + 0.002 * energy / ENERGY
    return _loss(revealer(arrived, unit), batch, used & readable[:, None], energy, penalty)


def _loss(
    logits: Tensor, batch: Batch, counted: Tensor, energy: Tensor, penalty: Tensor
) -> tuple[Tensor, dict[str, float]]:
    """Binary cross-entropy of the bits at which `counted` is true, plus the penalty; and the figures."""
    bits = (batch.secret < 0).float()[counted]
    read, count = logits[counted], counted.sum().clamp(min=1)
    # a positive logit means bit 0
    bce = F.binary_cross_entropy_with_logits(-read, bits, reduction="sum") / count
    loss = bce + penalty
    errors = ((read < 0) != (bits > 0.5)).sum() / count
    figures = (loss, bce, errors, energy, penalty)
    return loss, {name: figure.item() for name, figure in zip(COLUMNS[1:], figures, strict=True)}


def visibility(cells: Tensor, unit: Tensor) -> Tensor:
    """How much a change of one stored value shows: much in smooth places, little beside edges and in noise.

    Returns (N, 64), 0 .. 1.
    """
    square = cells.reshape(-1, 1, CELL, CELL) / unit
    padded = F.pad(square, (1, 1, 1, 1), mode="replicate")
    spread = F.avg_pool2d(padded.square(), 3, 1) - F.avg_pool2d(padded, 3, 1).square()
    return (1 / (1 + spread.clamp(min=0).sqrt())).reshape(-1, PIXELS)


def distorted(container: Tensor, batch: Batch, chance: Chance) -> tuple[Tensor, Tensor, float, float]:
    """Leave the container as it is, or distort it by noise, near-lossless coding, or JPEG of its 8-bit rendering.

    Returns what arrives at a reader, its unit, and the limits of its stored values.
    """
    unit, kind = batch.unit, chance.plain.random()
    if kind < 0.5:
        arrived = container
        if kind >= 0.35:
            near = max(1, round(chance.plain.randint(1, 4) * batch.grey))
            arrived = distort.near_lossless(container, near, chance.torch)
        elif kind >= 0.12:
            sigma = torch.full((len(container), 1), chance.plain.uniform(0.3, 4.0) * batch.grey)
            arrived = distort.noise(container, sigma, chance.torch)
        return arrived, unit, batch.low, batch.high
    rendered = (container - batch.low) / batch.grey
    return distort.jpeg(rendered, chance.plain.randint(45, 95)), unit / batch.grey, 0.0, GREY_LEVELS


@dataclass(frozen=True)
class Plan:
    """What decides the parameters that a run ends with; kept in its checkpoint.

    profile: `fidelity` or `robust`.
    steps: of the optimiser, the whole run.
    seed: of the first parameters and of every random choice.
    """

    profile: str
    steps: int
    seed: int


class Training:
    """A run that can stop after any step and go on from its checkpoint.

    profile: `fidelity` or `robust`.
    data: the data folder.
    out: folder of the checkpoint and of the curves.
    steps, seed: see `Plan`.
    """

    def __init__(self, profile: str, data: Path, out: Path, *, steps: int, seed: int) -> None:
        torch.manual_seed(seed)
        self.hider, self.revealer = build(profile)
        self.both = nn.ModuleDict({"hider": self.hider, "revealer": self.revealer})
        self.adam = torch.optim.Adam(self.both.parameters(), lr=RATE)
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.adam, steps)
        self.loss = sparse_loss if profile == "fidelity" else lattice_loss
        self.plan = Plan(profile, steps, seed)
        self.done = 0
        self.checkpoint = out / f"{profile}.pt"
        self.curves = out / f"{profile}.csv"
        self.source = Source(data, profile)

    def step(self) -> dict[str, float]:
        """Make one step of the optimiser. Returns the figures of its batch."""
        chance = Chance(self.plan.seed, self.done)
        loss, figures = self.loss(self.hider, self.revealer, self.source.draw(chance), chance)
        self.adam.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.both.parameters(), 1.0)
        self.adam.step()
        self.schedule.step()
        self.done += 1
        return figures

    def save(self) -> None:
        """Write the checkpoint; the one before stays until the new one is complete."""
        state = {
            "networks": self.both.state_dict(),
            "adam": self.adam.state_dict(),
            "schedule": self.schedule.state_dict(),
            "step": self.done,
            "plan": asdict(self.plan),
        }
        torch.save(state, self.checkpoint.with_suffix(".new"))
        self.checkpoint.with_suffix(".new").replace(self.checkpoint)

    def resume(self) -> None:
        """Go on from the checkpoint.

        Raises ValueError when the checkpoint belongs to another plan.
        """
        state = torch.load(self.checkpoint, weights_only=True)
        if state["plan"] != asdict(self.plan):
            raise ValueError(f"{self.checkpoint} belongs to {state['plan']}, not to {asdict(self.plan)}")
        self.both.load_state_dict(state["networks"])
        self.adam.load_state_dict(state["adam"])
        self.schedule.load_state_dict(state["schedule"])
        self.done = state["step"]

    def log(self, figures: dict[str, float]) -> None:
        """Write a row of the curves."""
        with self.curves.open("a", newline="") as file:
            csv.writer(file).writerow([self.done, *(f"{value:.5f}" for value in figures.values())])

    def trim_log(self) -> None:
        """Begin the curves, or drop the rows of steps that come after the checkpoint."""
        rows = []
        if self.curves.exists():
            with self.curves.open(newline="") as file:
                rows = [row for row in list(csv.reader(file))[1:] if int(row[0]) <= self.done]
        with self.curves.open("w", newline="") as file:
            csv.writer(file).writerows([COLUMNS, *rows])


def train(training: Training) -> None:
    """Resume if there is a checkpoint, then run to the end of the plan."""
    if training.checkpoint.exists():
        training.resume()
    # so that an untrained pair can be exported, too
    training.save()
    training.trim_log()
    first, steps, begun = training.done, training.plan.steps, time.monotonic()
    while training.done < steps:
        figures = training.step()
        if training.done % 100 == 0:
            training.log(figures)
        if training.done % CHECKPOINT == 0 or training.done == steps:
            training.save()
            left_s = (time.monotonic() - begun) / (training.done - first) * (steps - training.done)
            print(f"{training.done}/{steps} {figures} {left_s / 60:.0f} min left", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", choices=tuple(STEPS), action="append", help="default: all")
    parser.add_argument("--data", type=Path, default=COLLECTION)
    parser.add_argument("--out", type=Path, default=Path(".work/train"))
    parser.add_argument("--steps", type=int, help=f"default: {STEPS}")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    arguments.out.mkdir(parents=True, exist_ok=True)
    for profile in arguments.profile or STEPS:
        print(f"{profile}: {arguments.out / profile}.pt", flush=True)
        steps = arguments.steps or STEPS[profile]
        train(Training(profile, arguments.data, arguments.out, steps=steps, seed=arguments.seed))


if __name__ == "__main__":
    main()
