"""Instances per second through the gateway and through Orthanc's own store-and-forward, in one run.

    python -m tests.benchmarks.gateway [--count 100] [--runs 2]

Both get the same 512x512x16-bit CT slices from DCMTK's storescu over one association, both write to disk with
fsync, both end in an Orthanc; only the gateway seals. The clock runs from the first byte sent until the last PACS
holds all. Then the steps of sealing one slice on one core. Prints Markdown, as kept in docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from gateway import keys
from gateway.seal import SealOptions, seal
from gateway.seal.codec.codec import Codec
from tests.support import objects
from tests.support.dcmtk import storescu
from tests.support.gateway import sealing_to, wait_for
from tests.support.orthanc import Orthanc

SIZE = 512
SEAL_REPEATS = 15
WARM_UP = 4
TIMEOUT_S = 900.0

# Orthanc's own auto-routing, as its documentation shows it.
AUTO_ROUTE = """
function OnStoredInstance(instanceId, tags, metadata, origin)
  SendToModality(instanceId, 'target')
end
"""


def through(port: int, files: list[Path], target: Orthanc) -> float:
    """Seconds until `target` holds all of `files` sent to `port`."""
    began = time.perf_counter()
    storescu(port, files)
    count = len(files)
    wait_for(lambda: target.count() >= count, what=f"{count} objects in the PACS", timeout_s=TIMEOUT_S)
    return time.perf_counter() - began


def gateway_rates(folder: Path, files: list[Path], runs: int) -> list[float]:
    with Orthanc(folder / "pacs") as pacs, sealing_to(folder / "gateway", pacs) as gateway:
        return rates(lambda batch: through(gateway.dicom_port, batch, pacs), files, runs, pacs)


def orthanc_rates(folder: Path, files: list[Path], runs: int) -> list[float]:
    with Orthanc(folder / "last") as last:
        nodes = {"target": [last.ae_title, "127.0.0.1", last.dicom_port]}
        script = folder / "auto-route.lua"
        script.write_text(AUTO_ROUTE)
        settings = {"DicomModalities": nodes, "LuaScripts": [str(script)]}
        with Orthanc(folder / "router", settings=settings) as router:
            return rates(lambda batch: through(router.dicom_port, batch, last), files, runs, last, router)


def rates(send: Callable[[list[Path]], float], files: list[Path], runs: int, *stores: Orthanc) -> list[float]:
    """Instances per second of each run, each with objects of its own; the first few objects only warm up.

    stores: emptied before each run.
    """
    count = (len(files) - WARM_UP) // runs
    found = []
    for batch in (files[:WARM_UP], *(files[WARM_UP + run * count :][:count] for run in range(runs))):
        for store in stores:
            store.reset()
        found.append(len(batch) / send(batch))
    return found[1:]


def steps_ms(folder: Path) -> dict[str, float]:
    """Median milliseconds of each step of sealing one slice, in the order they are done."""
    keys.generate(folder / "keys")
    recipient = keys.load_recipient(folder / "keys" / "recipient.pub")
    signer = keys.load_signer(folder / "keys" / "signer.key")
    codec, options = Codec.load(threads=1), SealOptions()
    found: dict[str, list[float]] = {}
    for number in range(SEAL_REPEATS + 1):
        data = objects.ct(rows=SIZE, columns=SIZE, seed=number)
        _, result = seal(
            data, recipient=recipient, signer=signer, codec=codec, options=options, now=datetime.now(UTC)
        )
        if number:  # the first one warms up
            for step, took in [*result.steps_ms.items(), ("total", result.seal_ms)]:
                found.setdefault(step, []).append(took)
    return {step: statistics.median(values) for step, values in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=100, help="slices in each run")
    parser.add_argument("--runs", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sealgate-bench-") as name:
        folder = Path(name)
        files: list[Path] = []
        for number in range(arguments.count * arguments.runs + WARM_UP):
            files.append(folder / f"ct{number:05d}.dcm")
            files[-1].write_bytes(objects.ct(rows=SIZE, columns=SIZE, seed=number, number=number + 1))
        sealed = gateway_rates(folder / "a", files, arguments.runs)
        plain = orthanc_rates(folder / "b", files, arguments.runs)
        print(
            f"{platform.machine()}, {os.cpu_count()} CPUs, {arguments.count} slices of {SIZE}x{SIZE}x16 bit\n"
        )
        print("| path | instances/s, each run |\n|---|---|")
        print(f"| storescu, gateway (seals), Orthanc | {', '.join(f'{rate:.1f}' for rate in sealed)} |")
        print(f"| storescu, Orthanc (routes), Orthanc | {', '.join(f'{rate:.1f}' for rate in plain)} |")
        print("\n| step of sealing a slice, one core | ms, median |\n|---|---|")
        for step, took in steps_ms(folder).items():
            print(f"| {step} | {took:.1f} |")


if __name__ == "__main__":
    main()
