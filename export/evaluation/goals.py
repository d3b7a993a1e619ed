"""The goals of the codec, each with the value that was reached; computed from the rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import mean, median

from export.evaluation import comparison, quality, recovery
from export.evaluation.tables import Lines
from gateway.seal.codec import Profile

_CT = ("dicom/modalities/CT", "dicom/series/ct")
_MR = ("dicom/modalities/MR", "images/eval/mri")
_SURVIVE = (
    ("JPEG Q90", 0.999),
    ("JPEG Q75", 0.99),
    ("JPEG Q50", 0.9),
    ("JPEG 2000 10:1", 0.99),
    ("JPEG-LS near 2", 0.99),
    ("noise 1", 0.99),
)
_EXPORT = ("window to 8 bit", 0.99)
_SMALLEST = 128  # pixels a side
_Statistic = Callable[[list[float]], float]


@dataclass(frozen=True)
class _Bar:
    """A goal for a figure of the images of some kinds.

    kinds: starts of their kinds.
    what: the goal, in words.
    name: the column of the figure.
    of: takes the figures of all these images and returns the value that counts.
    value: what the goal asks for.
    form: format of the value.
    least: the goal is reached by this value and all above it; otherwise by all below it.
    """

    kinds: tuple[str, ...]
    what: str
    name: str
    of: _Statistic
    value: float
    form: str
    least: bool = True


_FIDELITY = (
    _Bar(("images/eval/fundus",), "fundus, mean PSNR dB", "psnr_db", mean, 56, "{:.1f}"),
    _Bar(("images/eval/fundus",), "fundus, worst PSNR dB", "psnr_db", min, 53, "{:.1f}"),
    _Bar(("images/eval/fundus",), "fundus, worst SSIM", "ssim", min, 0.999, "{:.5f}"),
    _Bar(_MR, "MR, mean PSNR dB", "psnr_db", mean, 58, "{:.1f}"),
    _Bar(_MR, "MR, worst SSIM", "ssim", min, 0.999, "{:.5f}"),
    _Bar(_CT, "CT objects, mean PSNR dB", "psnr_db", mean, 72, "{:.1f}"),
    _Bar(_CT, "CT objects, largest change", "max_change", max, 4, "{:.0f}", least=False),
    _Bar(_CT, "CT objects, mean shift of a region", "region_shift", max, 0.1, "{:.3f}", least=False),
    _Bar(("images/eval/mammo",), "mammography 8 bit, mean PSNR dB", "psnr_db", mean, 62, "{:.1f}"),
)


def goals(costs: list[quality.Row], survival: list[recovery.Row], compared: list[comparison.Row]) -> Lines:
    """One line for each goal. "met" compares the value that was reached, whatever its interval is."""
    outcomes = [row.outcome for row in survival] + [row.outcome for row in compared]
    wrong = sum(outcome == "wrong" for outcome in outcomes)
    return [
        *_fidelity(costs),
        *(line for profile in Profile for line in _both(profile, costs, compared)),
        *_robust(survival),
        _line("wrong payloads accepted", wrong, 0, "{:.0f}", least=False),
    ]


def _line(
    goal: str, reached: float, bar: float, form: str, *, least: bool = True, of: str = ""
) -> dict[str, str]:
    met = reached >= bar if least else reached <= bar
    return {
        "goal": f"{goal}: {'at least' if least else 'at most'} {form.format(bar)}",
        "reached": form.format(reached) + of,
        "met": "yes" if met else "no",
    }


def _share(goal: str, outcomes: list[bool], bar: float) -> dict[str, str]:
    low, _ = recovery.clopper_pearson(sum(outcomes), len(outcomes))
    of = f" ({sum(outcomes)} of {len(outcomes)}, interval from {low:.1%})"
    return _line(goal, mean(outcomes), bar, "{:.1%}", of=of)


def _fidelity(costs: list[quality.Row]) -> Lines:
    rows = [row for row in costs if row.profile == Profile.FIDELITY and row.level == "full"]
    lines = []
    for bar in _FIDELITY:
        values = [float(getattr(row, bar.name)) for row in rows if row.kind.startswith(bar.kinds)]
        if values:
            lines.append(
                _line(f"`fidelity`, {bar.what}", bar.of(values), bar.value, bar.form, least=bar.least)
            )
    return lines


def _both(profile: Profile, costs: list[quality.Row], compared: list[comparison.Row]) -> Lines:
    """The goals that both profiles have."""
    rows = [row for row in costs if row.profile == profile]
    full = [row for row in rows if row.level == "full"]
    large = [row for row in rows if row.side is not None and row.side >= _SMALLEST]
    gains = comparison.against_reference(compared, f"Sealgate {profile}")
    lines = []
    if large:
        sealed = [row.level == "full" for row in large]
        lines.append(_share(f"`{profile}`, sealed of images of 128 x 128 and more", sealed, 0.99))
    if full:
        restoring = median(row.restoring_share or 0.0 for row in full)
        growth = median(row.jpegls_growth or 0.0 for row in full)
        lines += [
            _line(f"`{profile}`, restoring bytes, median", restoring, 0.03, "{:.2%}", least=False),
            _line(f"`{profile}`, JPEG-LS growth, median", growth, 0.05, "{:.2%}", least=False),
        ]
    if gains:
        lines.append(
            _line(f"`{profile}`, error below that of JPEG 2000 5:1, mean dB", mean(gains), 6, "{:.1f}")
        )
    return lines


def _robust(survival: list[recovery.Row]) -> Lines:
    rows = [row for row in survival if row.profile == Profile.ROBUST]
    standard = recovery.standard(rows)
    costs = {row.path: row.psnr_db for row in standard}
    lines = []
    if costs:
        lines.append(_line("`robust`, 512 x 512, 8 bit, mean PSNR dB", mean(costs.values()), 50, "{:.1f}"))
    for name, bar in _SURVIVE:
        outcomes = [row.outcome == "exact" for row in standard if row.distortion == name]
        if outcomes:
            lines.append(_share(f"`robust`, 512 x 512, 8 bit, recovered after {name}", outcomes, bar))
    name, bar = _EXPORT
    deep = [row for row in rows if row.kind.startswith("dicom/") and (row.bits_stored or 0) > 8]
    outcomes = [row.outcome == "exact" for row in deep if row.distortion == name]
    if outcomes:
        lines.append(_share(f"`robust`, CT and MR of more than 8 bit, recovered after {name}", outcomes, bar))
    return lines
