"""One object per association, as many modalities send: the gateway beside Orthanc and DCMTK's storescp.

    python -m tests.benchmarks.associations [--count 200]

The sender is a bare socket that proposes a single presentation context and sends a 64x64x16-bit slice, release
included, so that nearly all of the time is the receiver's. The gateway and Orthanc answer after an fsync; storescp
writes without one. Prints Markdown, as kept in docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from pathlib import Path

from tests.support import objects, pdus
from tests.support.dcmtk import Storescp
from tests.support.gateway import DemoDestination, DemoRoute, RunningGateway
from tests.support.modality import Parcel, parcel
from tests.support.orthanc import Orthanc

WARM_UP = 10


def rate(port: int, called: str, parcels: list[Parcel]) -> float:
    """Associations per second, each with one object; the first few only warm up."""
    for one in parcels[:WARM_UP]:
        send_alone(port, called, one)
    began = time.perf_counter()
    for one in parcels[WARM_UP:]:
        send_alone(port, called, one)
    return (len(parcels) - WARM_UP) / (time.perf_counter() - began)


def send_alone(port: int, called: str, one: Parcel) -> None:
    status = pdus.store_alone(port, called, one.sop_class, one.sop_instance, one.dataset)
    assert status == 0, f"not stored: {status}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=200, help="associations with each receiver")
    count = parser.parse_args().count
    files = [
        objects.ct(rows=64, columns=64, seed=number, number=number + 1) for number in range(count + WARM_UP)
    ]
    parcels = [parcel(data, fallback_uid="2.25.4") for data in files]
    with tempfile.TemporaryDirectory(prefix="sealgate-bench-") as name:
        folder = Path(name)
        found = {}
        with Storescp(folder / "storescp") as storescp:
            found["storescp, no fsync"] = rate(storescp.port, storescp.ae_title, parcels)
        with Orthanc(folder / "orthanc", settings={"SyncStorageArea": True}) as orthanc:
            found["Orthanc"] = rate(orthanc.dicom_port, orthanc.ae_title, parcels)
        with Storescp(folder / "target") as target:
            nodes = [DemoDestination(name="target", ae_title=target.ae_title, port=target.port)]
            routes = [DemoRoute(called="SEALGATE", action="seal", to=("target",))]
            gateway = RunningGateway(
                folder / "gateway", nodes=nodes, routes=routes, extra='[seal]\nprofile = "fidelity"'
            )
            with gateway:
                found["gateway, which seals and forwards at the same time"] = rate(
                    gateway.dicom_port, "SEALGATE", parcels
                )
    print(f"{platform.machine()}, {os.cpu_count()} CPUs, {count} associations with one object each\n")
    print("| receiver | associations/s | ratio to Orthanc |\n|---|---|---|")
    for receiver, value in found.items():
        print(f"| {receiver} | {value:.0f} | {value / found['Orthanc']:.2f} |")


if __name__ == "__main__":
    main()
