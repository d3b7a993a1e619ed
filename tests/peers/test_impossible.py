"""Sealing is impossible: keys, networks or worker processes fail. Nothing is lost, and the route's policy decides."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import sys
import time
import urllib.error
import urllib.request
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

from pydicom import dcmread

import onnx_models
from gateway.queue import Step
from gateway.queue.model import State
from gateway.work.settling import DEATHS_MAX
from tests.peers.test_workers import Fed, configured
from tests.support.dcmtk import Storescp
from tests.support.gateway import DemoDestination, DemoRoute, RunningGateway, wait_for
from tests.support.modality import parcel, send
from tests.support.objects import ct

QUICK = "[queue]\nbackoff_s = 0.1\nbackoff_max_s = 0.5"
NOT_SEALED = "SEALGATE: not sealed: "


def routed(folder: Path, storescp: Storescp, **more: Any) -> RunningGateway:
    """Two routes that seal: HELD keeps back what can't be sealed, MARKED sends it on with a mark."""
    routes = [
        DemoRoute(called="HELD", action="seal", to=("pacs",)),
        DemoRoute(called="MARKED", action="seal", to=("pacs",), extra='impossible = "forward-marked"'),
    ]
    pacs = DemoDestination(name="pacs", ae_title=storescp.ae_title, port=storescp.port)
    gateway = RunningGateway(folder, nodes=[pacs], routes=routes, extra=QUICK, **more)
    gateway.environment["SEALGATE_GATEWAY__WORKERS"] = "1"
    return gateway


def store(gateway: RunningGateway, called: str, seed: int) -> None:
    data = ct(rows=96, columns=96, seed=seed)
    assert send([parcel(data, fallback_uid="1.2.3")], gateway.dicom_port, called=called) == [0]


def problems(gateway: RunningGateway) -> list[str]:
    try:
        with urllib.request.urlopen(gateway.url + "/readyz") as answer:
            told = json.load(answer)
    except urllib.error.HTTPError as error:
        told = json.load(error)
    return [str(problem) for problem in told["problems"]]


def comments(path: Path) -> str:
    return str(dcmread(path, stop_before_pixels=True).get("ImageComments", ""))


def with_a_network_changed(folder: Path) -> list[str]:
    """A copy of the networks with one changed, which Python finds first when it is started like this."""
    copy = folder / "python" / "onnx_models"
    shutil.copytree(Path(onnx_models.__file__).parent, copy)
    network = copy / "fidelity-v1-reveal.onnx"
    network.write_bytes(network.read_bytes() + b"\0")
    return ["env", "-C", str(copy.parent)]


def test_with_keys_that_cannot_be_read_one_route_holds_and_the_other_forwards_marked(
    tmp_path: Path, storescp: Storescp
) -> None:
    gateway = routed(tmp_path / "gateway", storescp)
    gateway.prepare()
    signer = gateway.keys / "signer.key"
    good = signer.read_bytes()
    signer.write_text("no key")
    try:
        gateway.start(reached=gateway.alive)
        store(gateway, "HELD", 1)
        store(gateway, "MARKED", 2)
        wait_for(lambda: len(storescp.files()) == 1, what="the marked one")
        assert comments(storescp.files()[0]).startswith(NOT_SEALED + "key-file")
        wait_for(lambda: problems(gateway) == ["1 of 1 worker processes: key-file"], what="the problem told")
        gateway.until_metric("sealgate_workers_missing", 1)
        gateway.until_metric("sealgate_queue_jobs", 1, step="prepare", state="ready")
        gateway.until_logged('"event": "no worker process: nothing is sealed or restored"')

        signer.write_bytes(good)
        wait_for(lambda: len(storescp.files()) == 2, what="the held one")
        assert sorted(comments(path)[: len(NOT_SEALED)] for path in storescp.files()) == ["", NOT_SEALED]
        wait_for(lambda: problems(gateway) == [], what="no more problems")
        gateway.until_metric("sealgate_sealed_total", 1, level="full")
        assert gateway.metric("sealgate_parked_total") == 0
    finally:
        assert gateway.stop() == 0


def test_with_a_network_that_cannot_be_loaded_objects_wait_or_go_on_marked(
    tmp_path: Path, storescp: Storescp
) -> None:
    gateway = routed(tmp_path / "gateway", storescp, wrapper=with_a_network_changed(tmp_path))
    gateway.start(reached=gateway.alive)
    try:
        store(gateway, "HELD", 1)
        store(gateway, "MARKED", 2)
        wait_for(lambda: len(storescp.files()) == 1, what="the marked one")
        assert comments(storescp.files()[0]).startswith(NOT_SEALED + "model-file")
        gateway.until_metric("sealgate_queue_jobs", 1, step="prepare", state="ready")
        wait_for(lambda: len(problems(gateway)) == 1, what="the problem told")
    finally:
        assert gateway.stop() == 0


def test_a_reload_whose_keys_cannot_be_read_changes_nothing(tmp_path: Path, storescp: Storescp) -> None:
    gateway = routed(tmp_path / "gateway", storescp)
    with gateway:
        gateway.config.write_text(gateway.config.read_text().replace("keys/signer.key", "keys/gone.key"))
        assert gateway.process is not None and gateway.process.pid is not None
        os.kill(gateway.process.pid, signal.SIGHUP)
        gateway.until_logged('"event": "not reloaded"')
        store(gateway, "HELD", 1)
        wait_for(lambda: len(storescp.files()) == 1, what="the sealed one")
        gateway.until_metric("sealgate_sealed_total", 1, level="full")
        assert problems(gateway) == []


def test_without_a_worker_process_objects_wait_and_lose_no_attempt(tmp_path: Path) -> None:
    config = configured(tmp_path)
    resource_tracker.ensure_running()  # it is to be started with the right program
    spawning = multiprocessing.get_context("spawn")
    spawning.set_executable("/bin/false")
    try:
        with Fed(config, ct(rows=96, columns=96)) as fed:
            wait_for(lambda: fed.preparer.trouble is not None, what="a start that fails")
            job = fed.until(Step.PREPARE, State.READY)
            assert (job.attempts, job.deaths) == (0, 0)
            assert fed.preparer.is_alive()
            spawning.set_executable(sys.executable)
            assert fed.until(Step.DELIVER, State.READY).level == "full"
            assert fed.preparer.trouble is None
    finally:
        spawning.set_executable(sys.executable)


def test_an_object_that_gets_its_worker_killed_three_times_is_quarantined_and_the_rest_goes_on(
    tmp_path: Path,
) -> None:
    # Its worker needs many seconds for it, so that it is caught at work however busy the machine is.
    poison = ct(rows=3072, columns=3072, seed=3)
    config = configured(tmp_path, queue={"backoff_s": 0.5, "backoff_max_s": 0.5})
    with Fed(config, poison) as fed:
        fed.arrive(ct(rows=96, columns=96, seed=4), pseudonym="1" * 16)
        for deaths in range(DEATHS_MAX):
            deadline = time.monotonic() + 120
            while not _at_work(fed, deaths):
                assert time.monotonic() < deadline, f"not at work again after {deaths} deaths"
                time.sleep(0.005)
            assert fed.preparer.worker_pid is not None
            os.kill(fed.preparer.worker_pid, signal.SIGKILL)
        parked = fed.until(Step.PREPARE, State.PARKED)
        assert (parked.id, parked.reason) == (1, "worker-died")
        (kept,) = (tmp_path / "data" / "quarantine").glob("*.dcm")
        assert kept.read_bytes() == poison
        wait_for(lambda: fed.admin.list(state=State.DONE, pseudonym="1" * 16) != [], what="the one behind it")


def _at_work(fed: Fed, deaths: int) -> bool:
    """Whether the first object is in a worker's hands again after so many deaths."""
    job = fed.admin.show(1)
    assert job is not None and job.state in (State.READY, State.LEASED), "it was not caught"
    return (job.state, job.deaths) == (State.LEASED, deaths) and fed.preparer.worker_pid is not None
