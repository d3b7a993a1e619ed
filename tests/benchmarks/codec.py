"""Milliseconds and memory of hiding and revealing, beside a peer in the same run.

    python -m tests.benchmarks.codec [--repeats 9]

One core, one ONNX thread. The peer is the lossless JPEG-LS encoder of CharLS (in imagecodecs) on the same image, so
that a ratio says something on any machine. Peak memory is that of a fresh process that loads the codec and seals.
Prints Markdown, as kept in docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from gateway import keys
from gateway.seal import SealOptions, seal
from gateway.seal.codec import Codec, Profile
from tests.support import objects

PAYLOAD = bytes(range(160))
SEALED = 20
MEMORY_GOAL_MB = 400
IMAGES = {
    "512x512, 16 bit (CT)": (512, -1024, 3071),
    "512x512, 8 bit": (512, 0, 255),
    "1024x1024, 8 bit": (1024, 0, 255),
}
CT_WINDOW = (200.0, 2200.0)  # that of the ellipse


def cover(name: str) -> NDArray[Any]:
    """(1, rows, columns, 1): an ellipse with structure and noise on a dark border."""
    size, low, high = IMAGES[name]
    values = objects.picture(size, size, low, high, seed=1)
    return values.astype(np.uint8 if high < 256 else np.int16)[None, :, :, None]


def milliseconds(repeats: int, *calls: Callable[[], object]) -> list[float]:
    """Medians. The calls take turns: what else the machine does falls on all alike. The first round warms up."""
    took: list[list[float]] = [[] for _ in calls]
    for round_number in range(repeats + 1):
        for call, times in zip(calls, took, strict=True):
            began = time.perf_counter()
            call()
            if round_number:
                times.append(1000 * (time.perf_counter() - began))
    return [statistics.median(times) for times in took]


def measured(codec: Codec, name: str, profile: Profile, repeats: int) -> dict[str, float]:
    """Milliseconds of each step on one image; "peer" is JPEG-LS."""
    image = cover(name)
    window = CT_WINDOW if image.dtype.itemsize > 1 else None
    plain = (image[0, :, :, 0].astype(np.int32) - int(image.min())).astype(f"u{image.dtype.itemsize}")
    hidden = codec.hide(image, PAYLOAD, profile=profile, window=window)
    for found in (codec.reveal(hidden.container), codec.reveal(hidden.container, hint=hidden.hint)):
        if found is None or found.payload != PAYLOAD:
            raise AssertionError(f"{name}, {profile}: the payload did not come back")
    steps: dict[str, Callable[[], object]] = {
        "peer": lambda: imagecodecs.jpegls_encode(plain),
        "hide": lambda: codec.hide(image, PAYLOAD, profile=profile, window=window),
        "reveal": lambda: codec.reveal(hidden.container),
        "reveal, hint": lambda: codec.reveal(hidden.container, hint=hidden.hint),
        "unsealed": lambda: codec.reveal(image),
    }
    return dict(zip(steps, milliseconds(repeats, *steps.values()), strict=True))


def print_times(codec: Codec, repeats: int) -> None:
    steps = ("hide", "reveal", "reveal, hint", "unsealed")
    print("| image | profile | JPEG-LS ms | " + " | ".join(f"{step} ms (ratio)" for step in steps) + " |")
    print("|---" * (3 + len(steps)) + "|")
    hides: dict[tuple[str, Profile], float] = {}
    for name in IMAGES:
        for profile in Profile:
            found = measured(codec, name, profile, repeats)
            hides[name, profile] = found["hide"]
            cells = [f"{found[step]:.1f} ({found[step] / found['peer']:.2f})" for step in steps]
            print(f"| {name} | {profile} | {found['peer']:.1f} | " + " | ".join(cells) + " |", flush=True)
    print("\n| four times the pixels | times the milliseconds of hide |\n|---|---|")
    _, small, large = IMAGES
    for profile in Profile:
        print(f"| {profile} | {hides[large, profile] / hides[small, profile]:.2f} |")


def seal_some(folder: Path) -> None:
    """Load the codec and seal CT slices; prints the peak resident memory of this process in MB."""
    keys.generate(folder)
    recipient, signer = keys.load_recipient(folder / "recipient.pub"), keys.load_signer(folder / "signer.key")
    codec, options = Codec.load(threads=1), SealOptions()
    for number in range(SEALED):
        data = objects.ct(rows=512, columns=512, seed=number)
        seal(data, recipient=recipient, signer=signer, codec=codec, options=options, now=datetime.now(UTC))
    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, in bytes
    print(round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6))


def peak_mb() -> int:
    """MB of a fresh process that runs `seal_some`."""
    with tempfile.TemporaryDirectory(prefix="sealgate-bench-") as folder:
        command = [sys.executable, "-m", "tests.benchmarks.codec", "--seal-into", folder]
        return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--seal-into", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.seal_into:
        seal_some(arguments.seal_into)
        return
    print(f"{platform.machine()}, {os.cpu_count()} CPUs, one thread, {len(PAYLOAD)} bytes of payload\n")
    print_times(Codec.load(threads=1), arguments.repeats)
    peak = peak_mb()
    print("\n| peak memory of a fresh process | MB | goal |\n|---|---|---|")
    verdict = "met" if peak <= MEMORY_GOAL_MB else "missed"
    print(
        f"| loads the codec, seals {SEALED} slices of 512x512x16 bit | {peak} | {MEMORY_GOAL_MB}: {verdict} |"
    )


if __name__ == "__main__":
    main()
