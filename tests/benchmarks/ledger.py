"""What the ledger costs: objects per second through the gateway with and without it, and a long ledger by itself.

    python -m tests.benchmarks.ledger [--count 60] [--runs 3] [--entries 1000000]

The same 512x512x16-bit CT slices go through two gateways in turns, which seal and deliver to an Orthanc each; the
clock runs from the first byte sent until the PACS holds all. Then entries are added to a ledger, and its export is
checked. Prints Markdown.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.keys import Signer
from gateway.keys.roles import HeldSigningKey
from gateway.ledger.exporting import export
from gateway.ledger.folder import LedgerFolder
from gateway.ledger.looking import find
from gateway.ledger.writing import BATCH_MAX, LedgerWriter
from tests.benchmarks.gateway import SIZE, through
from tests.support import objects
from tests.support.gateway import RunningGateway, sealing_to
from tests.support.ledgers import entry, sign_now
from tests.support.orthanc import Orthanc

OFF = "[ledger]\nenabled = false"
CHECK = """
import resource, sys, time
from pathlib import Path
from gateway.ledger.checking import check
began = time.perf_counter()
report = check(Path(sys.argv[1]))
assert report.ok, report.problems
print(time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def through_gateways(count: int, runs: int) -> None:
    """Turns of the two gateways, so that what else the machine does meets both."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        pairs: dict[str, tuple[RunningGateway, Orthanc]] = {}
        for name, extra in (("off", OFF), ("on", "")):
            pacs = stack.enter_context(Orthanc(Path(folder) / f"pacs-{name}"))
            gateway = sealing_to(Path(folder) / name, pacs, extra=extra)
            pairs[name] = (stack.enter_context(gateway), pacs)
        seconds: dict[str, list[float]] = {"off": [], "on": []}
        for run in range(runs + 1):
            files = []
            for number, data in enumerate(objects.series(count, size=SIZE, seed=run + 1)):
                path = Path(folder) / f"{run}-{number}.dcm"
                path.write_bytes(data)
                files.append(path)
            for name in ("off", "on") if run % 2 else ("on", "off"):
                gateway, pacs = pairs[name]
                pacs.reset()
                took = through(gateway.dicom_port, files, pacs)
                # The first run warms up.
                if run:
                    seconds[name].append(took)
        rates = {name: count / statistics.median(taken) for name, taken in seconds.items()}
        print("| ledger | objects per second, median | range |\n|---|---|---|")
        for name, taken in seconds.items():
            low, high = count / max(taken), count / min(taken)
            print(f"| {name} | {rates[name]:.2f} | {low:.2f} to {high:.2f} |")
        print(f"\nwith the ledger: {rates['on'] / rates['off']:.3f} of the rate without\n")


def long_ledger(entries: int) -> None:
    signer = Signer(HeldSigningKey(Ed25519PrivateKey.generate()))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "ledger"
        writer = LedgerWriter(folder, gateway_id="benchmark")
        marks: list[tuple[int, float]] = []
        for begin in range(0, entries, BATCH_MAX):
            batch = [entry(number) for number in range(begin, min(entries, begin + BATCH_MAX))]
            began = time.process_time()
            writer.append(batch)
            marks.append((len(batch), time.process_time() - began))
        sign_now(writer, signer)
        writer.close()
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        began = time.perf_counter()
        LedgerWriter(folder, gateway_id="benchmark").close()
        reopened = time.perf_counter() - began
        began = time.perf_counter()
        assert len(list(find(LedgerFolder(folder), instances={(7).to_bytes(8, "big")}))) == 1
        looked = time.perf_counter() - began
        export(LedgerFolder(folder), Path(name) / "export")
        done = subprocess.run(
            [sys.executable, "-c", CHECK, str(Path(name) / "export")],
            capture_output=True,
            text=True,
            check=True,
        )
        seconds, checked_memory = map(float, done.stdout.split())
        tenth = max(1, len(marks) // 10)
        print("| step | figure |\n|---|---|")
        for what, part in (("first", marks[:tenth]), ("last", marks[-tenth:])):
            each_us = 1e6 * sum(taken for _, taken in part) / sum(size for size, _ in part)
            print(f"| CPU time to add an entry, {what} tenth of {entries} | {each_us:.1f} us |")
        print(f"| memory of the process that adds | {memory:.0f} MiB |")
        print(f"| opened again | {reopened:.2f} s |")
        print(f"| one look through it, as of `verify --ledger` | {looked:.1f} s |")
        print(f"| export checked | {seconds:.1f} s, {entries / seconds:.0f} entries per second |")
        print(f"| memory of the process that checks | {checked_memory:.0f} MiB |")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--entries", type=int, default=1_000_000)
    options = parser.parse_args()
    if options.runs:
        through_gateways(options.count, options.runs)
    if options.entries:
        long_ledger(options.entries)


if __name__ == "__main__":
    main()
