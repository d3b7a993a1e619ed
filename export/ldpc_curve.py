"""Measure the frame error rate of the error correction:  python -m export.ldpc_curve [--out FOLDER] [--frames N]

The messages are random and have 1344 bits, about as many as a record in its envelope. The whole codeword of rate 1/2 is
sent over BPSK with white gaussian noise. The decoder gets exact log-likelihood ratios. The command writes ldpc.csv,
ldpc.png and ldpc.md. Eb/N0 is the energy of a message bit over the one-sided noise density, in decibels:
sigma^2 = 1 / (2 * rate * Eb/N0) at amplitude 1.
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
    """One point of the curve.

    eb_n0_db: Eb/N0, decibels.
    frames: how many messages were sent.
    errors: how many of them did not come back.
    wrong: how many of these came back as another message.
    raw_bit_error_rate: share of the code bits that were received with the wrong sign, 0 .. 1.
    """

    eb_n0_db: float
    frames: int
    errors: int
    wrong: int
    raw_bit_error_rate: float


def deviation(eb_n0_db: float) -> float:
    """The standard deviation of the noise on a code bit, which is sent as +1 or -1."""
    return math.sqrt(1 / (2 * RATE * 10 ** (eb_n0_db / 10)))


def received(
    message: NDArray[np.uint8], lift: int, sigma: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Encode a message and send it over the channel.

    message: (12 * lift,) bits.
    sigma: standard deviation of the noise, see `deviation`.

    Returns log-likelihood ratios, (24 * lift,), in the order of `ldpc.encode`, positive for bit 0.
    """
    sent = 1.0 - 2.0 * ldpc.encode(message, lift)
    noisy = sent + sigma * rng.standard_normal(len(sent))
    return (2 * noisy / sigma**2).astype(np.float32)


def measure(
    eb_n0_db: float, *, lift: int = LIFT, frames: int = MOST_FRAMES, errors: int = ENOUGH_ERRORS
) -> Row:
    """Measure one point.

    frames: random messages, at most.
    errors: the measurement ends after so many frames in error.
    """
    rng = seeded("ldpc", lift, eb_n0_db)
    sigma = deviation(eb_n0_db)
    sent = failed = wrong = flipped = 0
    while sent < frames and failed < errors:
        message = rng.integers(0, 2, ldpc.message_bits(lift)).astype(np.uint8)
        llr = received(message, lift, sigma, rng)
        decoded = ldpc.decode(llr, lift)
        sent += 1
        flipped += int(np.count_nonzero((llr < 0) != ldpc.encode(message, lift)))
        if decoded is None or not np.array_equal(decoded, message):
            failed += 1
            wrong += decoded is not None
    return Row(eb_n0_db, sent, failed, wrong, round(flipped / (sent * ldpc.code_bits(lift)), 5))


def table(rows: list[Row]) -> Lines:
    """The table of the report, a line for each point."""
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
    """Draw the curve; a point without errors is drawn as the upper end of its interval."""
    figure, axes = pyplot.subplots(figsize=(6, 4))
    with_errors = [row for row in rows if row.errors]
    rates = np.array([row.errors / row.frames for row in with_errors])
    ends = np.array([clopper_pearson(row.errors, row.frames) for row in with_errors]).T
    axes.errorbar(
        [row.eb_n0_db for row in with_errors], rates, (rates - ends[0], ends[1] - rates), fmt="o-", capsize=3
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
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("docs/evaluation"))
    parser.add_argument("--frames", type=int, default=MOST_FRAMES, help="at most, for each point")
    arguments = parser.parse_args()
    rows = []
    for point in POINTS_DB:
        rows.append(measure(point, frames=arguments.frames))
        print(rows[-1], flush=True)
    arguments.out.mkdir(parents=True, exist_ok=True)
    write(arguments.out / "ldpc.csv", Row, rows)
    plot(rows, arguments.out / "ldpc.png")
    text = _TEXT.format(
        message=ldpc.message_bits(LIFT),
        code=ldpc.code_bits(LIFT),
        errors=ENOUGH_ERRORS,
        frames=arguments.frames,
        capacity=CAPACITY_DB,
    )
    (arguments.out / "ldpc.md").write_text(text + markdown(table(rows)))


if __name__ == "__main__":
    main()
