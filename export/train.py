"""Train a hider and its revealer:  python -m export.train [--profile fidelity] [--data FOLDER] [--out FOLDER]

Resumes from OUT/PROFILE.pt when it is there; progress goes to the terminal, curves to OUT/PROFILE.csv.
Every batch mixes images of all kinds, hides random bits at a random density, distorts with real codecs and noise, and
asks for the bits back. Seconds a step on one core: about 0.03.
"""

from __future__ import annotations

import argparse
import csv
import random
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  the name every PyTorch reader knows
from torch import Tensor, nn

from export import distort
from export.data import COLLECTION, Cells, cells_of, stored_values, training_items
from export.model import BITS, CELL, PIXELS, build

CELLS = 4096  # a batch: as many cells as a 512 x 512 image
IMAGES = 8  # images that share a batch
ENERGY = 60.0  # robust: squared grey levels a bit may cost; 2500 bits in 512 x 512 are then at 50.6 dB
LOW_FREQUENCIES = 6  # robust: patterns that carry the payload first, see CODEC.md
STEPS = {"fidelity": 6_000, "robust": 16_000}  # minutes on one core: 5 and 10
RATE = 2e-3  # Adam; annealed to 0 over the run


@dataclass
class Batch:
    """cells, up, down: (N, 64); secret: (N, 16); unit: (1,), low: stored value that an 8-bit export shows as 0."""

    cells: Tensor
    up: Tensor
    down: Tensor
    secret: Tensor
    unit: Tensor
    low: float


class Source:
    """Draws batches, one kind of image as often as another."""

    def __init__(self, folder: Path, profile: str, seed: int) -> None:
        self.sparse = profile == "fidelity"
        self.random = random.Random(seed)
        self.numpy = np.random.default_rng(seed)
        self.kinds: dict[str, list[Cells]] = defaultdict(list)
        for item in training_items(folder):
            cells = cells_of(stored_values(item.path), sample=1 if self.sparse else None)
            if len(cells.values):
                self.kinds[item.kind].append(cells)

    def draw(self) -> Batch:
        """Cells of one kind of image; their units differ little, so that one unit serves the batch."""
        kind = self.random.choice(sorted(self.kinds))
        image = self.random.choice(self.kinds[kind])
        chosen = [
            image,
            *self.random.choices([c for c in self.kinds[kind] if c.unit == image.unit], k=IMAGES - 1),
        ]
        parts, ups, downs = [], [], []
        for cells in chosen:
            rows = cells.values[self.numpy.integers(0, len(cells.values), CELLS // IMAGES)]
            parts.append(rows - image.low)
            ups.append(cells.high - rows)
            downs.append(rows - cells.low)
        density = self.random.choice((0.05, 0.15, 0.3, 0.6))
        used = self.numpy.random((CELLS, BITS)) < density
        if not self.sparse and self.random.random() < 0.8:
            used[:, LOW_FREQUENCIES:] = False
        secret = np.where(used, self.numpy.integers(0, 2, (CELLS, BITS)) * 2 - 1, 0)
        unit = self.random.choice((1.0, 1.0, 2.0, 4.0)) if self.sparse else image.unit
        tensors = [torch.from_numpy(np.concatenate(part).astype(np.float32)) for part in (parts, ups, downs)]
        return Batch(*tensors, torch.from_numpy(secret.astype(np.float32)), torch.tensor([unit]), 0.0)


def losses(
    hider: nn.Module,
    revealer: nn.Module,
    batch: Batch,
    *,
    sparse: bool,
    draw: random.Random,
    noise: torch.Generator,
) -> tuple[Tensor, dict[str, float]]:
    """The loss of a batch and the figures to log."""
    change = hider(batch.cells, batch.secret, batch.up, batch.down, batch.unit)
    container = batch.cells + change
    used = batch.secret != 0
    bits = (batch.secret < 0).float()[used]
    energy = (change / batch.unit).square().sum() / used.sum()
    if sparse:
        seen, unit = container, batch.unit
        if draw.random() < 0.5:
            sigma = torch.full((len(container), 1), draw.choice((0.2, 0.3, 0.4))) * batch.unit
            seen = distort.noise(container, sigma, noise)
        _, amount = hider.moves(batch.cells, batch.secret, batch.up, batch.down, batch.unit)
        # counted by amount, not by |change|: an unmoved pixel must feel how little it would show
        shown = (amount * visibility(batch.cells, batch.unit)[:, hider.members]).sum() / used.sum()
        penalty = 0.2 * shown / batch.unit.squeeze()
    else:
        seen, unit = distorted_as_export(container, batch, draw, noise)
        penalty = 0.5 * F.relu(energy / ENERGY - 1) + 0.002 * energy / ENERGY
    logits = revealer(seen, unit)[used]
    bce = F.binary_cross_entropy_with_logits(-logits, bits)  # positive logits mean bit 0
    errors = ((logits < 0) != (bits > 0.5)).float().mean()
    return bce + penalty, {
        "bce": bce.item(),
        "errors": errors.item(),
        "energy": energy.item(),
        "penalty": penalty.item(),
    }


def visibility(cells: Tensor, unit: Tensor) -> Tensor:
    """(N, 64) how much a change of one stored value shows: much in smooth places, little beside edges and in noise."""
    square = cells.reshape(-1, 1, CELL, CELL) / unit
    padded = F.pad(square, (1, 1, 1, 1), mode="replicate")
    spread = F.avg_pool2d(padded.square(), 3, 1) - F.avg_pool2d(padded, 3, 1).square()
    return (1 / (1 + spread.clamp(min=0).sqrt())).reshape(-1, PIXELS)


def distorted_as_export(
    container: Tensor, batch: Batch, draw: random.Random, noise: torch.Generator
) -> tuple[Tensor, Tensor]:
    """A quarter untouched, a quarter with noise, half as JPEG of the 8-bit rendering."""
    kind = draw.random()
    if kind < 0.25:
        return container, batch.unit
    if kind < 0.5:
        sigma = torch.full((len(container), 1), draw.uniform(0.3, 2.0)) * batch.unit
        return distort.noise(container, sigma, noise), batch.unit
    rendered = (container - batch.low) / batch.unit
    return distort.jpeg(rendered, draw.randint(45, 95)), torch.ones(1)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--profile", choices=tuple(STEPS), action="append", help="default: all")
    options.add_argument("--data", type=Path, default=COLLECTION)
    options.add_argument("--out", type=Path, default=Path(".work/train"))
    options.add_argument("--steps", type=int, help=f"default: {STEPS}")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--threads", type=int, default=1)
    wish = options.parse_args()
    torch.manual_seed(wish.seed)
    torch.set_num_threads(wish.threads)
    wish.out.mkdir(parents=True, exist_ok=True)
    for profile in wish.profile or STEPS:
        print(f"{profile}: {wish.out / profile}.pt", flush=True)
        train(profile, wish.data, wish.out, wish.steps or STEPS[profile], wish.seed)


def train(profile: str, data: Path, out: Path, steps: int, seed: int) -> None:
    hider, revealer = build(profile)
    both = nn.ModuleDict({"hider": hider, "revealer": revealer})
    adam = torch.optim.Adam([p for p in both.parameters() if p.requires_grad], lr=RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
    first = 0
    checkpoint = out / f"{profile}.pt"
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        both.load_state_dict(state["networks"])
        adam.load_state_dict(state["adam"])
        schedule.load_state_dict(state["schedule"])
        first = state["step"]
    source = Source(data, profile, seed + first)
    draw, noise = random.Random(seed + first), torch.Generator().manual_seed(seed + first)
    begun = time.monotonic()
    with (out / f"{profile}.csv").open("a", newline="") as log:
        rows = csv.writer(log)
        for step in range(first + 1, steps + 1):
            loss, figures = losses(
                hider, revealer, source.draw(), sparse=source.sparse, draw=draw, noise=noise
            )
            adam.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(both.parameters(), 1.0)
            adam.step()
            schedule.step()
            if step % 100 == 0:
                rows.writerow([step, f"{loss.item():.5f}", *(f"{v:.5f}" for v in figures.values())])
                log.flush()
            if step % 1000 == 0 or step == steps:
                state = {
                    "networks": both.state_dict(),
                    "adam": adam.state_dict(),
                    "schedule": schedule.state_dict(),
                    "step": step,
                }
                torch.save(state, checkpoint.with_suffix(".new"))
                checkpoint.with_suffix(".new").replace(checkpoint)
                left = (time.monotonic() - begun) / (step - first) * (steps - step)
                print(f"{step}/{steps} {figures} {left / 60:.0f} min left", flush=True)


if __name__ == "__main__":
    main()
