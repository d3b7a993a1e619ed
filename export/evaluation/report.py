"""Writes the report: README.md, tables and plots of the measured rows."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from statistics import mean

import torch

from export.evaluation import comparison, figures, prose, quality, rate, recovery, tables, task
from export.evaluation.baselines.classical import DctQim, LeastSignificantBit, Stdm
from export.evaluation.baselines.library import DwtDct, RivaGan
from export.evaluation.baselines.method import Method
from export.evaluation.baselines.networks import neural
from export.evaluation.goals import goals
from export.evaluation.ledger import write
from export.evaluation.run import Run


def write_all(run: Run, costs: list[quality.Row], survival: list[recovery.Row], out: Path) -> None:
    """Measure what is still missing, and write the report into the folder `out`."""
    torch.set_num_threads(1)
    baselines: list[Method] = [
        LeastSignificantBit(matching=False),
        LeastSignificantBit(matching=True),
        DctQim(),
        Stdm(),
        DwtDct(),
        RivaGan(),
        *neural(run.plan.data, run.plan.work / "baselines"),
    ]
    rates, agreements, compared = run.rate(), run.task(), run.comparison(baselines)
    write(out / "rate.csv", rate.Row, rates)
    write(out / "task.csv", task.Row, agreements)
    write(out / "comparison.csv", comparison.Row, compared)
    (out / "models.json").write_text(json.dumps(run.hashes, indent=2) + "\n")
    figures.rate_distortion(rates, out / "rate-distortion.png")
    figures.survival(survival, out / "recovery.png")
    figures.methods(compared, out / "methods.png")
    figures.overheads(costs, out / "overheads.png")
    shown = figures.examples(run.codec, run.plan.data, out / "examples.png")
    parts = [
        prose.HEAD,
        _networks(run.hashes),
        prose.GOALS,
        tables.markdown(goals(costs, survival, compared)),
        prose.COST.format(summary=_summary(costs)),
        tables.markdown(tables.cost(costs)),
        prose.DETAIL,
        tables.markdown(tables.detail(costs)),
        prose.REFUSED,
        tables.markdown(tables.refusals(costs)) if tables.refusals(costs) else "None.\n",
        prose.RATE,
        prose.RECOVERY,
        tables.markdown(tables.survival(survival)),
        prose.STANDARD,
        tables.markdown(tables.survival(recovery.standard(survival))),
        prose.CORRECTION,
        prose.COMPARISON,
        tables.markdown(tables.compared(compared)),
        _winners(compared),
        _against_jpeg2000(compared),
        prose.TASK,
        tables.markdown(tables.agreement(agreements)),
        prose.EXAMPLES,
        *(f"- {item.path.name}: {item.source}, {item.licence}\n" for item in shown),
        prose.LIMITS,
    ]
    (out / "README.md").write_text("\n".join(parts))


def _networks(hashes: dict[str, str]) -> str:
    return tables.markdown([{"network": name, "SHA-256": f"`{value}`"} for name, value in hashes.items()])


def _summary(rows: list[quality.Row]) -> str:
    full = [row for row in rows if row.level == "full"]
    recovered = sum(row.recovered for row in full)
    low, _ = recovery.clopper_pearson(recovered, len(full))
    large = [row for row in rows if row.profile == "fidelity" and (row.pixels or 0) >= 128 * 128]
    shifts = max(row.region_shift or 0 for row in large if "ct" in row.kind.lower())
    return (
        f"Of {len(rows)} attempts {len(full)} were sealed; {recovered} of these gave the payload back exactly "
        f"(95 % interval from {low:.2%}), and {sum(not row.in_range for row in full)} left the range of their image. "
        f"The largest shift of the mean of any 32 x 32 region in CT by `fidelity` is {shifts:.3f} stored values."
    )


def _against_jpeg2000(rows: list[comparison.Row]) -> str:
    """Our error against that of JPEG 2000 at 5:1 on the same image; the goal is 6 dB less."""
    lines = []
    for ours in ("Sealgate fidelity", "Sealgate robust"):
        gains = comparison.against_reference(rows, ours)
        lines.append(
            f"Error of {ours} against JPEG 2000 at 5:1 on the same image: mean {mean(gains):+.1f} dB, worst "
            f"{min(gains):+.1f} dB; at least 6 dB better on {sum(gain >= 6 for gain in gains)} of {len(gains)} images."
        )
    return "\n\n".join(lines) + "\n"


def _winners(rows: list[comparison.Row]) -> str:
    """Where a baseline does as well as ours or better, computed from the rows."""
    groups = {name: members for (name,), members in tables.by(rows, "method").items()}
    counts = {
        name: Counter(row.distortion for row in members if row.outcome == "exact")
        for name, members in groups.items()
    }
    costs = {
        name: mean(values)
        for name, members in groups.items()
        if (values := [row.psnr_db for row in members if row.psnr_db is not None])
    }
    lines = ["Where a baseline does as well or better, computed from the rows above:\n"]
    for ours in ("Sealgate fidelity", "Sealgate robust"):
        for name in counts:
            if name.startswith("Sealgate") or name == comparison.REFERENCE or name not in costs:
                continue
            more_often = [path for path in comparison.PATHS if counts[name][path] > counts[ours][path]]
            as_often = [path for path in comparison.PATHS if counts[name][path] >= counts[ours][path]]
            gain = costs[name] - costs[ours]
            if more_often and gain > -0.5:
                lines.append(
                    f"- {name} survives more often than {ours} at no more distortion: {', '.join(more_often)}."
                )
            if len(as_often) == len(comparison.PATHS) and gain > 0.5:
                lines.append(
                    f"- {name} survives every path at least as often as {ours}, and costs {gain:.1f} dB less."
                )
    return "\n".join(lines if len(lines) > 1 else [lines[0], "- nowhere."]) + "\n"
