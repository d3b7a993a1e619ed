"""Exports for research: what an anonymised sealed image still carries, and what one that was released does not."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom.filereader import dcmread

from gateway.dicom.part10 import file_meta
from gateway.seal.codec import Codec
from gateway.seal.verifying import Verdict
from tests.support import objects
from tests.support.dcmtk import Storescp, remove_private_elements, set_element, tool
from tests.support.desk import Desk
from tests.support.gateway import DemoDestination, DemoRoute, RunningGateway, wait_for
from tests.support.modality import parcel, send
from tests.support.orthanc import Orthanc

PATIENT: dict[str, Any] = {
    "PatientID": "P-4711",
    "PatientName": "Secret^Name",
    "PatientBirthDate": "19611224",
}
# What a hospital's own de-identification does, in short.
DEIDENTIFY = (
    'cp "$1" "$2" && dcmodify -nb -ie -ep -ma PatientName=A -ma PatientID=A1 -ma PatientBirthDate= "$2"'
)


@pytest.fixture(scope="module")
def desk(key_folder: Path, codec: Codec) -> Desk:
    return Desk.of(key_folder, codec)


def with_dcmodify(data: bytes, folder: Path, _orthanc: Orthanc) -> bytes:
    """Patient and private elements removed, as a person does with DCMTK."""
    given, bare, target = folder / "given.dcm", folder / "bare.dcm", folder / "anonymous.dcm"
    given.write_bytes(data)
    remove_private_elements(given, bare)
    set_element(bare, target, "PatientID=ANON")
    tool("dcmodify", "-nb", "-ma", "PatientName=ANON", "-ma", "PatientBirthDate=", "-gin", target)
    return target.read_bytes()


def with_orthanc(data: bytes, _folder: Path, orthanc: Orthanc) -> bytes:
    """The PACS's own anonymisation, by PS3.15 table E.1-1."""
    orthanc.reset()
    orthanc.upload(data)
    identifier = orthanc.find(str(dcmread(io.BytesIO(data)).SOPInstanceUID))
    return orthanc.request("POST", f"/instances/{identifier}/anonymize", b"{}")


def with_gdcm(data: bytes, folder: Path, _orthanc: Orthanc) -> bytes:
    """GDCM's de-identifier, told what to empty, and private elements removed."""
    given, target = folder / "given.dcm", folder / "anonymous.dcm"
    given.write_bytes(data)
    emptied = ("--empty", "10,10", "--empty", "10,20", "--remove", "10,30")
    tool("gdcmanon", "--dumb", *emptied, "-i", given, "-o", target)
    bare = folder / "bare.dcm"
    remove_private_elements(target, bare)
    return bare.read_bytes()


TOOLS = (with_dcmodify, with_orthanc, with_gdcm)


@pytest.mark.parametrize("anonymised", TOOLS)
def test_what_a_pacs_anonymises_still_carries_its_patient_and_what_was_released_does_not(
    desk: Desk,
    key_folder: Path,
    orthanc: Orthanc,
    tmp_path: Path,
    anonymised: Callable[[bytes, Path, Orthanc], bytes],
) -> None:
    sealed, result = desk.seal(objects.ct(seed=31, **PATIENT))
    assert result.level == "full"
    exported = anonymised(sealed, tmp_path, orthanc)
    header = dcmread(io.BytesIO(exported))
    assert "4711" not in header.get("PatientID", "")
    assert "Secret" not in str(header.get("PatientName", ""))
    assert desk.verify(exported, with_key=False).verdict is Verdict.STRIPPED
    assert {keyword: desk.record(exported)[keyword] for keyword in PATIENT} == PATIENT

    released = released_by_command(sealed, key_folder, tmp_path)
    for data in (released, anonymised(released, tmp_path, orthanc)):
        extraction = desk.extract(data)
        assert (extraction.found, extraction.mode) == (False, None)
        assert desk.verify(data).verdict is Verdict.UNSEALED
        for value in ("4711", "Secret", "19611224", "SEALGATE"):
            assert value.encode() not in data


def released_by_command(data: bytes, key_folder: Path, folder: Path) -> bytes:
    (folder / "export").mkdir()
    (folder / "export" / "Secret^Name.dcm").write_bytes(data)
    (folder / "deid.sh").write_text(DEIDENTIFY)
    command = json.dumps(["/bin/sh", str(folder / "deid.sh"), "{in}", "{out}"])
    (folder / "sealgate.toml").write_text(
        f'[keys]\nsigners = "{key_folder}/signer.pub"\nrecipient_key = "{key_folder}/recipient.key"\n'
        f"[release]\ncommand = {command}\n"
        '[[destination]]\nname = "deid"\nae_title = "DEID"\nhost = "127.0.0.1"\nport = 104\n'
        '[[route]]\ncalled = "RELEASE"\naction = "release"\nto = ["deid"]\n'
    )
    arguments = ["release", "export", "released", "--config", "sealgate.toml"]
    subprocess.run(
        [sys.executable, "-m", "gateway.commands.main", *arguments],
        cwd=folder,
        check=True,
        capture_output=True,
        timeout=240,
    )
    (written,) = (folder / "released").iterdir()
    assert written.name == "000001.dcm"
    return written.read_bytes()


@pytest.fixture
def gateway(tmp_path: Path, key_folder: Path, storescp: Storescp) -> Iterator[RunningGateway]:
    running = RunningGateway(
        tmp_path / "gateway",
        nodes=[DemoDestination(name="deid", ae_title=storescp.ae_title, port=storescp.port)],
        routes=[DemoRoute(called="RELEASE", action="release", to=("deid",))],
        extra="[queue]\nbackoff_s = 0.1\nbackoff_max_s = 0.5",
        environment={"SEALGATE_GATEWAY__WORKERS": "1"},
    )
    shutil.copytree(key_folder, running.keys)
    yield running
    running.stop()


def store(gateway: RunningGateway, data: bytes) -> None:
    assert send([parcel(data, fallback_uid="1.2.3")], gateway.dicom_port, called="RELEASE") == [0]


def dataset(data: bytes) -> bytes:
    return data[file_meta(data)[1] :]


def sealgate(gateway: RunningGateway, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gateway.commands.main", *arguments, "--config", str(gateway.config)],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def test_a_route_that_releases_sends_originals_only_and_keeps_back_what_is_not_good(
    gateway: RunningGateway, desk: Desk, storescp: Storescp
) -> None:
    originals = [objects.ct(seed=41), objects.report(seed=42)]
    file = dcmread(io.BytesIO(desk.seal(objects.ct(seed=43, **PATIENT))[0]))
    file.PatientID = "OTHER"
    changed = io.BytesIO()
    file.save_as(changed)
    with gateway:
        for original in originals:
            store(gateway, desk.seal(original)[0])
        wait_for(lambda: len(storescp.files()) == 2, what="what is good")
        arrived = [path.read_bytes() for path in storescp.files()]
        assert {dataset(data) for data in arrived} == {dataset(data) for data in originals}
        assert [desk.verify(data).verdict for data in arrived] == [Verdict.UNSEALED] * 2
        gateway.until_metric("sealgate_released_total", 2, reason="released")
        store(gateway, changed.getvalue())
        store(gateway, objects.ct(seed=44, **PATIENT))
        gateway.until_metric("sealgate_quarantined_total", 1, reason="misidentified")
        gateway.until_metric("sealgate_quarantined_total", 1, reason="unsealed")
        assert gateway.metric("sealgate_verdicts_total", verdict="intact") == 2

        listed = sealgate(gateway, "quarantine", "list", "--json").stdout.splitlines()
        ids = [str(json.loads(line)["id"]) for line in listed]
        assert len(ids) == 2
        done = sealgate(gateway, "quarantine", "release", "--as-received", *ids)
        assert done.returncode == 3
        assert "may still carry its patient" in done.stderr
        assert sealgate(gateway, "quarantine", "release", *ids).returncode == 0
        gateway.until_metric("sealgate_quarantined_total", 4)
        assert "P-4711" not in gateway.log
    assert len(storescp.files()) == 2


def test_with_bypass_what_is_to_be_released_waits(
    gateway: RunningGateway, desk: Desk, storescp: Storescp
) -> None:
    original = objects.ct(seed=51)
    gateway.options = ["--bypass"]
    with gateway:
        store(gateway, desk.seal(original)[0])
        wait_for(
            lambda: '"reason": "bypass"' in sealgate(gateway, "queue", "list", "--json").stdout,
            what="the job that waits",
        )
        assert storescp.files() == []
    gateway.options = []
    with gateway:
        assert sealgate(gateway, "queue", "retry", "--state", "ready").returncode == 0
        wait_for(lambda: len(storescp.files()) == 1, what="the original")
    assert dataset(storescp.files()[0].read_bytes()) == dataset(original)
