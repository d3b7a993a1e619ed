"""Markdown tables of the measured rows."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from statistics import mean, median
from typing import Any

from export.evaluation import comparison, quality, recovery, task
from export.evaluation.distortions import DISTORTIONS

Lines = list[dict[str, str]]


def markdown(lines: Lines) -> str:
    """The table in Markdown; the line with the most cells gives the headings."""
    longest: dict[str, str] = max(lines, key=len, default={})
    heads = list(longest)
    rows = [heads, ["---"] * len(heads), *([line.get(head, "") for head in heads] for line in lines)]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"


def by(rows: Iterable[Any], *names: str) -> dict[tuple[str, ...], list[Any]]:
    """Group rows by the values of some of their fields, as strings."""
    groups: dict[tuple[str, ...], list[Any]] = defaultdict(list)
    for row in rows:
        groups[tuple(str(getattr(row, name)) for name in names)].append(row)
    return dict(groups)


def _each(rows: list[Any], name: str) -> list[float]:
    return [float(value) for row in rows if (value := getattr(row, name)) is not None]


def cost(rows: list[quality.Row]) -> Lines:
    """One line for every profile and kind. The cards of the networks contain the same lines."""
    lines = []
    for (profile, kind), members in sorted(by(rows, "profile", "kind").items()):
        full = [row for row in members if row.level == "full"]
        line = {"profile": profile, "kind": kind, "images": str(len(members)), "full": str(len(full))}
        line["recovered"] = str(sum(row.recovered for row in full))
        if full:
            line["PSNR mean dB"] = f"{mean(_each(full, 'psnr_db')):.1f}"
            line["PSNR worst dB"] = f"{min(_each(full, 'psnr_db')):.1f}"
            line["SSIM worst"] = f"{min(_each(full, 'ssim')):.5f}"
            line["largest change"] = f"{max(_each(full, 'max_change')):.0f}"
        lines.append(line)
    return lines


def detail(rows: list[quality.Row]) -> Lines:
    """The other peaks, local measures, overheads and times."""
    shown: tuple[tuple[str, str, Callable[[list[float]], float], str], ...] = (
        ("PSNR stored, mean", "psnr_stored_db", mean, "{:.1f}"),
        ("PSNR window, mean", "psnr_window_db", mean, "{:.1f}"),
        ("RMS / local noise, median", "rms_to_noise", median, "{:.3f}"),
        ("worst 8x8 cell dB", "worst_cell_db", min, "{:.1f}"),
        ("mean shift of a 32x32 region, largest", "region_shift", max, "{:.3f}"),
        ("restoring bytes / pixel bytes, median", "restoring_share", median, "{:.2%}"),
        ("JPEG-LS growth, median", "jpegls_growth", median, "{:+.2%}"),
        ("JPEG-LS growth, largest", "jpegls_growth", max, "{:+.2%}"),
        ("hide ms / Mpixel, median", "hide_ms", median, "{:.0f}"),
        ("reveal ms / Mpixel, median", "reveal_ms", median, "{:.0f}"),
    )
    lines = []
    for (profile, kind), members in sorted(by(rows, "profile", "kind").items()):
        full = [row for row in members if row.level == "full"]
        line = {"profile": profile, "kind": kind}
        for head, name, statistic, form in shown if full else ():
            values = _each(full, name)
            if name.endswith("_ms"):
                values = [
                    value * 1e6 / row.pixels for value, row in zip(values, full, strict=True) if row.pixels
                ]
            finite = [value for value in values if value != float("inf")]
            line[head] = form.format(statistic(finite)) if finite else "no noise"
        lines.append(line)
    return lines


def refusals(rows: list[quality.Row]) -> Lines:
    """How many images of every kind carry nothing, by reason."""
    counts = Counter((row.profile, row.kind, row.level) for row in rows if row.level != "full")
    return [
        {"profile": profile, "kind": kind, "reason": reason, "images": str(images)}
        for (profile, kind, reason), images in sorted(counts.items())
    ]


def survival(rows: list[recovery.Row]) -> Lines:
    """One line for every distortion."""
    lines = []
    groups = by(rows, "distortion", "profile")
    for distortion in DISTORTIONS:
        line = {"distortion": distortion.name}
        for profile in ("fidelity", "robust"):
            members = groups.get((distortion.name, profile), [])
            if members:
                exact = sum(row.outcome == "exact" for row in members)
                low, high = recovery.clopper_pearson(exact, len(members))
                line[profile] = f"{exact}/{len(members)}"
                line[f"{profile} 95 % interval"] = f"{low:.1%} .. {high:.1%}"
        tried = [row for row in rows if row.distortion == distortion.name]
        line["wrong accepted"] = str(sum(row.outcome == "wrong" for row in tried))
        if tried:
            lines.append(line)
    return lines


def compared(rows: list[comparison.Row]) -> Lines:
    """One line for every method."""
    lines = []
    for (method,), members in by(rows, "method").items():
        carried = {row.path: row for row in members if row.psnr_db is not None}
        images = len({row.path for row in members})
        line = {"method": method, "images it can mark": f"{len(carried)}/{images}"}
        if carried:
            line["PSNR mean dB"] = f"{mean(row.psnr_db for row in carried.values()):.1f}"
            line["SSIM worst"] = f"{min(row.ssim for row in carried.values()):.4f}"
        for name in comparison.PATHS:
            tried = [row for row in members if row.distortion == name]
            if tried:
                line[name] = f"{sum(row.outcome == 'exact' for row in tried)}/{len(tried)}"
        lines.append(line)
    return lines


def agreement(rows: list[task.Row]) -> Lines:
    """One line for every task and arm."""
    lines = []
    for (name, arm), members in sorted(by(rows, "task", "arm").items()):
        dice = _each(members, "dice")
        lines.append(
            {
                "task": name,
                "arm": arm,
                "images": str(len(members)),
                "PSNR mean dB": f"{mean(_each(members, 'psnr_db')):.1f}",
                "Dice mean": f"{mean(dice):.5f}",
                "Dice worst": f"{min(dice):.5f}",
            }
        )
    return lines
