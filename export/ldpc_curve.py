"""Measure the frame error rate of the error correction:  python -m export.ldpc_curve [--out FOLDER] [--frames N]

Random messages of 1344 bits (about what a record in its envelope takes), the whole codeword of rate 1/2 over BPSK with
white gaussian noise, exact log-likelihood ratios. Writes ldpc.csv, ldpc.png and ldpc.md. Eb/N0 is energy per message
bit over the one-sided noise density, in decibels: sigma^2 = 1 / (2 * rate * Eb/N0) at amplitude 1.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib import pyplot
from numpy.typing import NDArray

from export.evaluation.images import seeded
from export.evaluation.ledger import write
from export.evaluation.recovery import clopper_pearson
from export.evaluation.tables import Lines, markdown
from gateway.seal.codec import ldpc

matplotlib.use("agg")
LIFT = 112
POINTS_DB = (0.8, 1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.4)
RATE = 0.5
CAPACITY_DB = 0.187  # least Eb/N0 at which BPSK carries rate 1/2 over this channel
ENOUGH_ERRORS = 100  # frames in error, after which a point is known well enough
MOST_FRAMES = 20_000

_TEXT = """# Frame errors of the LDPC code

Made by `python -m export.ldpc_curve`; do not edit. {message} message bits, {code} code bits, BPSK over white gaussian
noise, at most 50 iterations of normalised min-sum. A point ends after {errors} frames in error or {frames} frames.
"raw": share of code bits received with the wrong sign. "wrong": another codeword than the one sent; the CRC-32 and the
envelope behind the code refuse those. Intervals are Clopper-Pearson's, 95 %. No code of rate 1/2 works below
{capacity} dB.
`tests/unit/seal/codec/test_ldpc.py` compares encoder and decoder with those of an independent library.

![Frame error rate against Eb/N0](ldpc.png)

"""


@dataclass(frozen=True)
class Row:
    """One point. errors: frames whose message did not come back; wrong: those of them where another one came."""

    eb_n0_db: float
    frames: int
    errors: int
    wrong: int
    raw_bit_error_rate: float


def deviation(eb_n0_db: float) -> float:
    """Of the noise on each code bit sent as +1 or -1."""
    return math.sqrt(1 / (2 * RATE * 10 ** (eb_n0_db / 10)))


def received(
    message: NDArray[np.uint8], lift: int, sigma: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Log-likelihood ratios (24 * lift,) in the order of `ldpc.encode`, positive for bit 0."""
    sent = 1.0 - 2.0 * ldpc.encode(message, lift)
    noisy = sent + sigma * rng.standard_normal(len(sent))
    return (2 * noisy / sigma**2).astype(np.float32)


def measure(
    eb_n0_db: float, *, lift: int = LIFT, frames: int = MOST_FRAMES, errors: int = ENOUGH_ERRORS
) -> Row:
    """One point: at most `frames` random messages, fewer when `errors` have failed before."""
    rng = seeded("ldpc", lift, eb_n0_db)
    sigma = deviation(eb_n0_db)
    made = failed = wrong = flipped = 0
    while made < frames and failed < errors:
        message = rng.integers(0, 2, ldpc.message_bits(lift)).astype(np.uint8)
        llr = received(message, lift, sigma, rng)
        found = ldpc.decode(llr, lift)
        made += 1
        flipped += int(np.count_nonzero((llr < 0) != ldpc.encode(message, lift)))
        if found is None or not np.array_equal(found, message):
            failed += 1
            wrong += found is not None
    return Row(eb_n0_db, made, failed, wrong, round(flipped / (made * ldpc.code_bits(lift)), 5))


def table(rows: list[Row]) -> Lines:
    lines = []
    for row in rows:
        low, high = clopper_pearson(row.errors, row.frames)
        lines.append(
            {
                "Eb/N0 dB": f"{row.eb_n0_db:.1f}",
                "raw": f"{row.raw_bit_error_rate:.2%}",
                "frames": str(row.frames),
                "in error": str(row.errors),
                "wrong": str(row.wrong),
                "frame error rate": f"{row.errors / row.frames:.2e}",
                "95 % interval": f"{low:.1e} .. {high:.1e}",
            }
        )
    return lines


def plot(rows: list[Row], path: Path) -> None:
    """A point without errors is drawn as the upper end of its interval."""
    figure, axes = pyplot.subplots(figsize=(6, 4))
    seen = [row for row in rows if row.errors]
    rates = np.array([row.errors / row.frames for row in seen])
    ends = np.array([clopper_pearson(row.errors, row.frames) for row in seen]).T
    axes.errorbar(
        [row.eb_n0_db for row in seen], rates, (rates - ends[0], ends[1] - rates), fmt="o-", capsize=3
    )
    for row in rows:
        if not row.errors:
            axes.plot(row.eb_n0_db, clopper_pearson(0, row.frames)[1], "v", color="grey")
    axes.axvline(CAPACITY_DB, color="grey", ls=":", label="capacity at rate 1/2")
    axes.set(yscale="log", xlabel="Eb/N0, dB", ylabel="frame error rate")
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=70, metadata={"Software": None})
    pyplot.close(figure)


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--out", type=Path, default=Path("docs/evaluation"))
    options.add_argument("--frames", type=int, default=MOST_FRAMES, help="at most, for each point")
    asked = options.parse_args()
    rows = []
    for point in POINTS_DB:
        rows.append(measure(point, frames=asked.frames))
        print(rows[-1], flush=True)
    asked.out.mkdir(parents=True, exist_ok=True)
    write(asked.out / "ldpc.csv", Row, rows)
    plot(rows, asked.out / "ldpc.png")
    text = _TEXT.format(
        message=ldpc.message_bits(LIFT),
        code=ldpc.code_bits(LIFT),
        errors=ENOUGH_ERRORS,
        frames=asked.frames,
        capacity=CAPACITY_DB,
    )
    (asked.out / "ldpc.md").write_text(text + markdown(table(rows)))


if __name__ == "__main__":
    main()
