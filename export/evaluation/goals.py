"""The goals of the codec, each with what was reached, computed from the rows."""

from __future__ import annotations

from collections.abc import Callable
from statistics import mean, median

from export.evaluation import quality, recovery
from export.evaluation.tables import Lines

_CT = ("dicom/modalities/CT", "dicom/series/ct")
_MR = ("dicom/modalities/MR", "images/eval/mri")
_SURVIVE = (
    ("JPEG Q90", 0.999),
    ("JPEG Q75", 0.99),
    ("JPEG Q50", 0.9),
    ("JPEG 2000 10:1", 0.99),
    ("JPEG-LS near 2", 0.99),
    ("noise 1", 0.99),
    ("window to 8 bit", 0.99),
)
Kinds = str | tuple[str, ...]


def goals(costs: list[quality.Row], survival: list[recovery.Row]) -> Lines:
    """One line a goal; "met" compares what was reached, without regard to its interval."""
    lines: Lines = []

    def line(goal: str, reached: float, bar: float, form: str, *, least: bool = True) -> None:
        met = reached >= bar if least else reached <= bar
        relation = "at least" if least else "at most"
        wanted = f"{goal}: {relation} {form.format(bar)}"
        lines.append({"goal": wanted, "reached": form.format(reached), "met": "yes" if met else "no"})

    def bar(
        kinds: Kinds, what: str, name: str, of: Callable[[list[float]], float], value: float, form: str
    ) -> None:
        rows = [row for row in costs if row.profile == "fidelity" and row.level == "full"]
        seen = [float(getattr(row, name)) for row in rows if row.kind.startswith(kinds)]
        if seen:
            line(f"`fidelity`, {what}", of(seen), value, form, least=name in ("psnr_db", "ssim"))

    bar("images/eval/fundus", "fundus, mean PSNR dB", "psnr_db", mean, 56, "{:.1f}")
    bar("images/eval/fundus", "fundus, worst PSNR dB", "psnr_db", min, 53, "{:.1f}")
    bar("images/eval/fundus", "fundus, worst SSIM", "ssim", min, 0.999, "{:.5f}")
    bar(_MR, "MR, mean PSNR dB", "psnr_db", mean, 58, "{:.1f}")
    bar(_MR, "MR, worst SSIM", "ssim", min, 0.999, "{:.5f}")
    bar(_CT, "CT objects, mean PSNR dB", "psnr_db", mean, 72, "{:.1f}")
    bar(_CT, "CT objects, largest change", "max_change", max, 4, "{:.0f}")
    bar(_CT, "CT objects, mean shift of a region", "region_shift", max, 0.1, "{:.3f}")
    bar("images/eval/mammo", "mammography 8 bit, mean PSNR dB", "psnr_db", mean, 62, "{:.1f}")
    for profile in ("fidelity", "robust"):
        full = [row for row in costs if row.profile == profile and row.level == "full"]
        share = median(row.restoring_share or 0.0 for row in full)
        growth = median(row.jpegls_growth or 0.0 for row in full)
        line(f"`{profile}`, restoring bytes, median", share, 0.03, "{:.2%}", least=False)
        line(f"`{profile}`, JPEG-LS growth, median", growth, 0.05, "{:.2%}", least=False)
    for name, wanted in _SURVIVE:
        outcomes = [row.outcome for row in survival if row.profile == "robust" and row.distortion == name]
        if outcomes:
            line(
                f"`robust`, recovered after {name}", outcomes.count("exact") / len(outcomes), wanted, "{:.1%}"
            )
    line("wrong payloads accepted", sum(row.outcome == "wrong" for row in survival), 0, "{:.0f}", least=False)
    return lines
