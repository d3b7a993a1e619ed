"""Plots of the report: small PNG files."""

from __future__ import annotations

from pathlib import Path
from statistics import mean
from typing import Any

import matplotlib
import numpy as np
from matplotlib import pyplot
from matplotlib.figure import Figure

from export.data import Item, manifest
from export.evaluation import comparison, quality, rate, recovery
from export.evaluation.distortions import DISTORTIONS
from export.evaluation.images import centre, load, seeded, windowed
from export.evaluation.tables import by
from gateway.seal.codec import Codec, Profile

matplotlib.use("agg")
_COLOURS = {"fidelity": "#1b6ca8", "robust": "#c4501b"}
_GRADED = (
    "gaussian noise, grey levels",
    "JPEG quality",
    "JPEG 2000 ratio",
    "JPEG-LS near",
    "gain",
    "gaussian blur, pixels",
)
_DPI = 70
_AMPLIFIED = 20
_EXAMPLES = ("images/train/fundus", "images/train/mri_t1", "images/train/ct")


def _save(figure: Figure, path: Path) -> None:
    figure.tight_layout()
    figure.savefig(path, dpi=_DPI, metadata={"Software": None})
    pyplot.close(figure)


def rate_distortion(rows: list[rate.Row], path: Path) -> None:
    """PSNR against the size of the payload, a line for each image and profile."""
    figure, axes = pyplot.subplots(figsize=(7, 4))
    for profile, colour in _COLOURS.items():
        lines = by([row for row in rows if row.profile == profile and row.psnr_db is not None], "kind")
        for number, members in enumerate(lines.values()):
            axes.plot(
                [row.payload_bytes for row in members],
                [row.psnr_db for row in members],
                ".-",
                color=colour,
                alpha=0.6,
                label=profile if number == 0 else None,
            )
    axes.set(
        xscale="log", xlabel="payload, bytes", ylabel="PSNR dB (peak: range)", title="one image of every kind"
    )
    axes.set_xticks(rate.PAYLOADS, [str(size) for size in rate.PAYLOADS])
    axes.legend()
    _save(figure, path)


def survival(rows: list[recovery.Row], path: Path) -> None:
    """Share of the payloads that came back, with 95 % intervals, a panel for each group of distortions."""
    figure, panels = pyplot.subplots(2, 3, figsize=(10, 5.5), sharey=True)
    for axes, group in zip(panels.flat, _GRADED, strict=True):
        names = [distortion.name for distortion in DISTORTIONS if distortion.group == group]
        for profile, colour in _COLOURS.items():
            shares, spans = [], []
            for name in names:
                members = [row for row in rows if row.distortion == name and row.profile == profile]
                exact = sum(row.outcome == "exact" for row in members)
                low, high = recovery.clopper_pearson(exact, len(members))
                shares.append(exact / len(members))
                spans.append((exact / len(members) - low, high - exact / len(members)))
            axes.errorbar(
                range(len(names)), shares, np.array(spans).T, fmt="o-", color=colour, capsize=3, label=profile
            )
        axes.set_xticks(
            range(len(names)), [name.split()[-1] if "%" not in name else name[5:] for name in names]
        )
        axes.set(title=group, ylim=(-0.05, 1.05))
    panels[0][0].legend()
    figure.supylabel("payload recovered exactly")
    _save(figure, path)


def methods(rows: list[comparison.Row], path: Path) -> None:
    """Survival against distortion of all methods; farther right and farther up is better."""
    figure, axes = pyplot.subplots(figsize=(7, 4.5))
    for (name,), members in by(rows, "method").items():
        costs = {row.path: row.psnr_db for row in members if row.psnr_db is not None}
        if name == comparison.REFERENCE:
            axes.axvline(mean(costs.values()), color="grey", ls=":", label=name)
        elif costs:
            share = sum(row.outcome == "exact" for row in members) / len(members)
            ours = name.startswith("Sealgate")
            axes.plot(mean(costs.values()), share, "*" if ours else "o", ms=14 if ours else 7, label=name)
    axes.set(xlabel="PSNR dB, mean", ylabel="share of images and paths recovered", ylim=(-0.05, 1.05))
    axes.legend(fontsize=7)
    _save(figure, path)


def overheads(rows: list[quality.Row], path: Path) -> None:
    """Restoring bytes and growth of the compressed image, for each kind; dotted lines are the goals."""
    figure, panels = pyplot.subplots(1, 2, figsize=(9, 4))
    for axes, name, bar in zip(panels, ("restoring_share", "jpegls_growth"), (3, 5), strict=True):
        for offset, profile in enumerate(_COLOURS):
            groups = by([row for row in rows if row.profile == profile and row.level == "full"], "kind")
            values: list[Any] = [[100 * getattr(row, name) for row in members] for members in groups.values()]
            places = np.arange(len(values)) + 0.35 * offset
            drawn = axes.boxplot(
                values, positions=places, widths=0.3, orientation="horizontal", patch_artist=True
            )
            for box in drawn["boxes"]:
                box.set_facecolor(_COLOURS[profile])
            axes.set_yticks(np.arange(len(values)), [kind[0].split("/")[-1] for kind in groups])
        axes.axvline(bar, color="grey", ls=":")
        axes.set_xscale("symlog", linthresh=1)
        axes.set_title(f"{name.replace('_', ' ')}, %")
    _save(figure, path)


def examples(codec: Codec, folder: Path, path: Path) -> list[Item]:
    """Openly licensed images in their window, and the amplified change of both profiles.

    Returns the images shown, for the attribution.
    """
    items = manifest(folder)
    chosen = [next(item for item in items if item.trains and item.kind == kind) for kind in _EXAMPLES]
    figure, panels = pyplot.subplots(len(chosen), 3, figsize=(6.5, 6.5))
    for line, item in zip(panels, chosen, strict=True):
        subject = load(item, folder)
        if subject is None:
            raise ValueError(f"{item.path.name} can't be shown")
        subject = centre(subject)
        low, high = subject.window
        line[0].imshow(windowed(subject.cover, subject.window).squeeze(), cmap="gray", vmin=0, vmax=255)
        line[0].set_title(f"{item.kind.split('/')[-1]}, window {low:.0f} .. {high:.0f}", fontsize=8)
        for axes, profile in zip(line[1:], Profile, strict=True):
            payload = seeded(subject.name, profile).bytes(quality.PAYLOAD_BYTES)
            container = quality.hidden_in(codec, subject, payload, profile).container[0]
            change = (container.astype(np.int32) - subject.cover)[
                ..., -2 if subject.cover.shape[2] == 3 else 0
            ]
            amplified = 128 + _AMPLIFIED * 255 * change / (high - low)
            axes.imshow(np.clip(amplified, 0, 255), cmap="gray", vmin=0, vmax=255)
            axes.set_title(f"{profile}: change x {_AMPLIFIED}", fontsize=8)
        for axes in line:
            axes.axis("off")
    _save(figure, path)
    return chosen
