"""The ledger of a gateway at work: what the PACS holds is in it, once; so after kill -9, and in a copy that goes on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.dicom.part10 import read
from gateway.keys import load_trusted_signers
from gateway.ledger.checking import check
from gateway.ledger.checkpoint import SignedCheckpoint
from gateway.ledger.folder import LedgerFolder
from gateway.ledger.looking import find
from gateway.observe.pseudonyms import Pseudonyms
from gateway.work.ledger_entries import LedgerNames, version_of
from tests.cli.terminal import sealgate
from tests.support.gateway import RunningGateway, sealing_to, wait_for
from tests.support.modality import parcel, send
from tests.support.objects import series
from tests.support.orthanc import Orthanc

OBJECTS = 12


@pytest.fixture(scope="module")
def pacs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    with Orthanc(tmp_path_factory.mktemp("pacs")) as server:
        yield server


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory, pacs: Orthanc) -> RunningGateway:
    """A gateway that was killed at work, started again, and stopped when all was delivered."""
    gateway = sealing_to(tmp_path_factory.mktemp("ledger") / "gateway", pacs)
    parcels = [parcel(file, fallback_uid="1.2.3") for file in series(OBJECTS, size=96)]
    with gateway:
        assert set(send(parcels, gateway.dicom_port)) == {0}
        wait_for(lambda: pacs.count() > 0, what="the first object in the PACS")
        gateway.kill()
        gateway.start()
        wait_for(lambda: pacs.count() == OBJECTS, what="all objects in the PACS")
        gateway.until_metric("sealgate_queue_jobs", 0)
        gateway.until_metric("sealgate_ledger_unwritten", 0)
        gateway.until_metric("sealgate_ledger_entries", OBJECTS)
    return gateway


def data_of(gateway: RunningGateway) -> Path:
    return gateway.folder / "data"


def test_what_the_pacs_holds_is_in_the_ledger_once_and_nothing_else(
    killed: RunningGateway, pacs: Orthanc
) -> None:
    pseudonyms = Pseudonyms.existing(data_of(killed))
    held = [read(data) for data in pacs.files()]
    names = [LedgerNames.of(file, pseudonyms) for file in held]
    logged = list(find(LedgerFolder(data_of(killed) / "ledger"), studies={name.study for name in names}))
    assert sorted(entry.entry.statement for entry in logged) == sorted(
        version_of(file) or b"" for file in held
    )
    assert sorted(entry.entry.instance for entry in logged) == sorted(name.instance for name in names)
    assert len(logged) == OBJECTS


def test_a_stranger_checks_the_export_with_the_public_key_alone(
    killed: RunningGateway, tmp_path: Path
) -> None:
    done = sealgate(["ledger", "export", str(tmp_path / "export"), "--config", str(killed.config)], tmp_path)
    assert done.returncode == 0, done.stderr
    signers = load_trusted_signers(killed.keys / "signer.pub")
    report = check(tmp_path / "export", signers=signers)
    assert (report.problems, report.size) == ([], OBJECTS)


def test_what_the_pacs_lost_is_named(killed: RunningGateway, pacs: Orthanc, tmp_path: Path) -> None:
    for number, data in enumerate(pacs.files()):
        (tmp_path / f"IM{number:02}").write_bytes(data)
    given = ["verify", str(tmp_path), "--signers", str(killed.keys / "signer.pub"), "--ledger", "--json"]
    done = sealgate([*given, "--config", str(killed.config)], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["verdict"] == "complete"
    (tmp_path / "IM05").unlink()
    done = sealgate([*given, "--config", str(killed.config)], tmp_path)
    study = json.loads(done.stdout.splitlines()[-1])
    assert (done.returncode, study["verdict"], len(study["missing"])) == (3, "incomplete", 1)


def test_a_copy_goes_on_under_a_name_of_its_own(
    killed: RunningGateway, pacs: Orthanc, tmp_path: Path
) -> None:
    done = sealgate(["backup", str(tmp_path / "copy"), "--config", str(killed.config)], tmp_path)
    assert done.returncode == 0, done.stderr
    before = LedgerFolder(data_of(killed) / "ledger").checkpoint()
    again = sealing_to(tmp_path / "again", pacs)
    shutil.copytree(killed.keys, again.keys)
    again.prepare()
    shutil.move(tmp_path / "copy", data_of(again))
    parcels = [parcel(file, fallback_uid="1.2.3") for file in series(2, size=96, seed=8)]
    with again:
        assert set(send(parcels, again.dicom_port)) == {0}
        again.until_metric("sealgate_ledger_entries", OBJECTS + 2)
    assert before is not None
    ledger = LedgerFolder(data_of(again) / "ledger")
    after = ledger.checkpoint()
    assert after is not None and after.checkpoint.size == OBJECTS + 2
    assert after.checkpoint.origin != before.checkpoint.origin
    assert ledger.tree(before.checkpoint.size).root() == before.checkpoint.root
    assert SignedCheckpoint.parse(before.note) == before
    assert "ledger not written" not in again.log
