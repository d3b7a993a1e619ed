"""`sealgate serve --bypass`: every object is forwarded untouched, and nobody can overlook that."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import structlog

from gateway.dicom.part10 import file_meta
from gateway.observe import Metrics
from gateway.queue.model import State, Step
from gateway.queue.sqlite.admin import SqliteQueueAdmin
from gateway.queue.sqlite.queue import SqliteQueue
from gateway.runtime.wakeup import Wakeup
from gateway.spool import LocalSpool
from gateway.work.bypass import NOTICE, Bypass
from gateway.work.context import WorkContext
from tests.peers.test_workers import configured
from tests.support.dcmtk import Storescp
from tests.support.gateway import DemoDestination, DemoRoute, RunningGateway, wait_for
from tests.support.modality import parcel, send
from tests.support.objects import ct


def dataset(data: bytes) -> bytes:
    return data[file_meta(data)[1] :]


def test_bypass_forwards_what_waits_and_what_comes_untouched_without_keys(
    tmp_path: Path, storescp: Storescp
) -> None:
    gateway = RunningGateway(
        tmp_path / "gateway",
        nodes=[DemoDestination(name="pacs", ae_title=storescp.ae_title, port=storescp.port)],
        routes=[
            DemoRoute(called="SEALGATE", action="seal", to=("pacs",)),
            DemoRoute(called="VERIFY", action="restore", to=("pacs",)),
        ],
    )
    gateway.environment["SEALGATE_GATEWAY__WORKERS"] = "1"
    objects = [ct(rows=96, columns=96, seed=seed) for seed in range(4)]

    def store(number: int, called: str = "SEALGATE") -> None:
        parcels = [parcel(objects[number], fallback_uid="1.2.3")]
        assert send(parcels, gateway.dicom_port, called=called) == [0]

    def arrived() -> set[bytes]:
        return {dataset(path.read_bytes()) for path in storescp.files()}

    gateway.prepare()
    signer = gateway.keys / "signer.key"
    good = signer.read_bytes()
    signer.write_text("no key")
    gateway.start(reached=gateway.alive)
    store(0)
    assert gateway.metric("sealgate_bypass") == 0
    assert gateway.stop() == 0
    assert arrived() == set()

    shutil.move(gateway.keys, tmp_path / "away")
    gateway.keys.mkdir()
    signer.touch()  # so that no new keys are made for the test
    gateway.options = ["--bypass"]
    with gateway:
        wait_for(lambda: len(storescp.files()) == 1, what="what waited")
        store(1)
        store(2, "VERIFY")
        wait_for(lambda: len(storescp.files()) == 3, what="what came")
        assert arrived() == {dataset(data) for data in objects[:3]}
        assert gateway.metric("sealgate_bypass") == 1
        gateway.until_metric("sealgate_sealed_total", 2, level="pass", reason="bypass")
        assert json.loads(gateway.get("/readyz"))["notices"] == [NOTICE]
        assert NOTICE in gateway.get("/healthz")
        gateway.until_logged(f'"event": "{NOTICE}"')
    admin = SqliteQueueAdmin(gateway.folder / "data" / "queue.sqlite")
    delivered = [job for job in admin.list(state=State.DONE) if job.step is Step.DELIVER]
    assert [(job.level, job.outcome) for job in delivered] == [("pass", "bypass")] * 3
    admin.close()

    shutil.rmtree(gateway.keys)
    shutil.move(tmp_path / "away", gateway.keys)
    signer.write_bytes(good)
    gateway.options = []
    with gateway:
        store(1)  # delivered while bypassing: known, and not sealed afterwards
        store(3)
        wait_for(lambda: gateway.metric("sealgate_forwarded_total") == 1, what="the new one")
        gateway.until_metric("sealgate_repeated_total", 1)
        gateway.until_metric("sealgate_sealed_total", 1, level="full")
        assert json.loads(gateway.get("/readyz"))["notices"] == []


def test_the_log_is_told_again_and_again_that_nothing_is_sealed(tmp_path: Path) -> None:
    config = configured(tmp_path)
    captured = structlog.testing.LogCapture()
    spool = LocalSpool(config.gateway.data_dir)
    queue = SqliteQueue(config.gateway.data_dir / "queue.sqlite")
    log = structlog.wrap_logger(
        structlog.PrintLogger(), processors=[captured], wrapper_class=structlog.stdlib.BoundLogger
    )
    bypass = Bypass(WorkContext(config, queue, spool, Metrics(), log, Wakeup(), Wakeup()), tell_s=0.01)
    bypass.start()
    wait_for(lambda: sum(line["event"] == NOTICE for line in captured.entries) >= 2, what="a second reminder")
    bypass.stop()
    bypass.join(120)
    assert not bypass.is_alive()
    queue.close()
