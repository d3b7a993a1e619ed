"""How fast a viewer on the web gets a CT through the gateway, and straight from the archive: `python -m` this module.

A CT of 300 slices is sealed into Orthanc. A viewer asks as OHIF does: the metadata of the series, then each frame, some
at a time; once cold (the gateway has fetched and verified nothing) and once warm. Everything runs on this machine, in
turns, so the ratios count. The same sealed objects are read from Orthanc's own DICOMweb plugin.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.support import objects
from tests.support.gateway import DemoDestination, wait_for
from tests.support.modality import parcel, send
from tests.support.orthanc import Orthanc
from tests.support.way_back import OPEN, with_way_back
from tests.support.web_viewer import OCTETS, WITH_PLUGIN, header

# What a browser opens to one host.
CONNECTIONS = 6
SETTINGS = {**OPEN, **WITH_PLUGIN, "MaximumStorageCacheSize": 128}


@dataclass(frozen=True)
class Viewed:
    """Seconds from the request for metadata.

    first: to the first frame. metadata: to the end of the metadata. all: to the last frame.
    """

    first: float
    metadata: float
    all: float


def viewed(root: str, study: str, series: str) -> Viewed:
    """Metadata, then all frames."""
    limits = httpx.Limits(max_connections=CONNECTIONS)
    with httpx.Client(base_url=root, timeout=600, limits=limits) as client:
        began = time.perf_counter()
        path = f"/studies/{study}/series/{series}"
        answer = client.get(f"{path}/metadata", headers={"Accept": "application/dicom+json"})
        instances = sorted(each["00080018"]["Value"][0] for each in answer.raise_for_status().json())
        metadata = time.perf_counter() - began

        def frame(uid: str) -> int:
            got = client.get(f"{path}/instances/{uid}/frames/1", headers={"Accept": OCTETS})
            return len(got.raise_for_status().content)

        frame(instances[0])
        first = time.perf_counter() - began
        with ThreadPoolExecutor(CONNECTIONS) as threads:
            sizes = list(threads.map(frame, instances[1:]))
        assert min(sizes) > 0
        return Viewed(first, metadata, time.perf_counter() - began)


def first_alone(root: str, study: str, series: str, instance: str) -> float:
    """Seconds to one frame that nobody asked for before."""
    with httpx.Client(base_url=root, timeout=600) as client:
        began = time.perf_counter()
        path = f"/studies/{study}/series/{series}/instances/{instance}/frames/1"
        client.get(path, headers={"Accept": OCTETS}).raise_for_status()
        return time.perf_counter() - began


def uids(data: bytes) -> tuple[str, str, str]:
    one = header(data)
    return str(one.StudyInstanceUID), str(one.SeriesInstanceUID), str(one.SOPInstanceUID)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slices", type=int, default=300)
    parser.add_argument("--size", type=int, default=512, help="rows and columns")
    parser.add_argument("--wado", action="store_true", help="the gateway asks the archive over DICOMweb")
    parser.add_argument(
        "--as-shipped",
        action="store_true",
        help="Orthanc zips its answers, as it does unless it is told not to",
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = {**SETTINGS, "HttpCompressionEnabled": arguments.as_shipped}
        with Orthanc(folder / "pacs", settings=settings) as pacs:
            fetch = f'dicomweb = "{pacs.url}/dicom-web"\nfetch = "wado"' if arguments.wado else ""
            destination = DemoDestination(name="pacs", ae_title=pacs.ae_title, port=pacs.dicom_port)
            gateway = with_way_back(
                folder / "gateway",
                destination,
                retrieve=f"{fetch}\ncache_fresh_s = 3600",
                listener='accept = "any"',
            )
            with gateway:
                files = objects.series(arguments.slices, size=arguments.size, seed=3)
                other = objects.ct(rows=64, columns=64, seed=99)
                send([parcel(other, fallback_uid="1.2.3")], gateway.dicom_port)
                send([parcel(data, fallback_uid="1.2.3") for data in files], gateway.dicom_port)
                wait_for(
                    lambda: pacs.count() == len(files) + 1, what="all slices in the archive", timeout_s=1200
                )
            study, series, _ = uids(files[0])
            megabytes = sum(map(len, files)) / 1e6
            print(f"{len(files)} slices of {arguments.size} x {arguments.size}, {megabytes:.0f} MB")
            # Started anew: nothing is in a cache.
            pacs.stop()
            with pacs, gateway:
                ours, theirs = f"{gateway.url}/dicom-web", f"{pacs.url}/dicom-web"
                # The worker processes run, and have read networks and keys, before anybody is timed.
                for root in (theirs, ours):
                    first_alone(root, *uids(other))
                alone = [first_alone(root, *uids(files[0])) for root in (theirs, ours)]
                print(f"one frame alone: Orthanc {alone[0]:.3f} s, Sealgate {alone[1]:.3f} s")
                for state in ("cold", "warm"):
                    straight, through = viewed(theirs, study, series), viewed(ours, study, series)
                    for what in ("first", "metadata", "all"):
                        a, b = getattr(straight, what), getattr(through, what)
                        print(
                            f"{state:5} {what:9} Orthanc {a:7.3f} s  Sealgate {b:7.3f} s  ratio {b / a:5.2f}"
                        )


if __name__ == "__main__":
    main()
