"""Retrieved by real viewers through the gateway: originals come back, and what is not what was sealed does not."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.filereader import dcmread
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from gateway.commands.demo.process import free_port
from gateway.dicom.file_meta import unwrap
from gateway.retrieve.seal_report import ENCAPSULATED_PDF, SECONDARY_CAPTURE
from tests.support import objects
from tests.support.dcmtk import Storescp, storescu
from tests.support.gateway import DemoDestination, RunningGateway, wait_for
from tests.support.orthanc import Orthanc
from tests.support.way_back import OPEN, TITLE, VIEWER, Answered, getscu, movescu, with_way_back

SLICES = 5
CT = "1.2.840.10008.5.1.4.1.1.2"


@dataclass
class House:
    """A study that went through the gateway into Orthanc, and a workstation that it can be moved to.

    sent: SOP Instance UID -> the file as the modality sent it.
    """

    folder: Path
    gateway: RunningGateway
    pacs: Orthanc
    workstation: Storescp
    sent: dict[str, bytes] = field(default_factory=dict)
    asked: int = 0

    def seal(self, files: list[bytes]) -> str:
        """Send a study through the gateway. Returns its UID once all of it is in the archive."""
        folder = self.folder / f"sent{len(self.sent)}"
        folder.mkdir()
        paths = []
        for number, data in enumerate(files):
            (folder / f"{number}.dcm").write_bytes(data)
            paths.append(folder / f"{number}.dcm")
            self.sent[header(data).SOPInstanceUID] = data
        storescu(self.gateway.dicom_port, paths)
        uids = [str(header(data).SOPInstanceUID) for data in files]
        wait_for(lambda: all(map(self.pacs.find, uids)), what="the study in the archive")
        return str(header(files[0]).StudyInstanceUID)

    def get(
        self, *keys: str, level: str = "STUDY", options: tuple[str, ...] = ("-S",)
    ) -> tuple[list[bytes], Answered]:
        """What getscu wrote, and printed."""
        self.asked += 1
        into = self.folder / f"got{self.asked}"
        answered = getscu(
            self.gateway.dicom_port, into, f"QueryRetrieveLevel={level}", *keys, options=options
        )
        return [path.read_bytes() for path in sorted(into.iterdir())], answered

    def move(self, *keys: str, level: str = "STUDY", to: str = "WORKSTATION") -> tuple[list[bytes], Answered]:
        """What came to the workstation, and what movescu printed."""
        before = set(self.workstation.files())
        answered = movescu(self.gateway.dicom_port, to, f"QueryRetrieveLevel={level}", *keys)
        return [path.read_bytes() for path in self.workstation.files() if path not in before], answered

    def stored_file(self, uid: str) -> Path:
        """Where the archive keeps an object."""
        data = self.pacs.download(str(self.pacs.find(uid)))
        (path,) = [
            path
            for path in (self.pacs.folder / "db").rglob("*")
            if path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data
        ]
        return path

    def alerts(self) -> list[dict[str, Any]]:
        log = self.gateway.folder / "data" / "audit.log"
        lines = log.read_text().splitlines() if log.exists() else []
        return [line for line in map(json.loads, lines) if line["action"] == "security-alert"]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("house")
    with (
        Orthanc(folder / "pacs", settings=OPEN) as pacs,
        Storescp(folder / "workstation", ae_title="WORKSTATION") as workstation,
        with_way_back(
            folder / "gateway",
            DemoDestination(name="pacs", ae_title=pacs.ae_title, port=pacs.dicom_port),
            viewers=[DemoDestination(name="ws", ae_title="WORKSTATION", port=workstation.port)],
            listener='accept = "any"',
        ) as gateway,
    ):
        yield House(folder, gateway, pacs, workstation)


@pytest.fixture(scope="module")
def study(house: House) -> str:
    return house.seal(objects.series(SLICES, size=128, seed=3))


def header(data: bytes) -> Dataset:
    return dcmread(io.BytesIO(data), stop_before_pixels=True)


def data_set(data: bytes) -> bytes:
    return data[unwrap(data).offset :]


def images(files: list[bytes]) -> dict[str, bytes]:
    """SOP Instance UID -> file, without reports."""
    named = {str(header(data).SOPInstanceUID): data for data in files}
    return {uid: data for uid, data in named.items() if header(data).SOPClassUID == CT}


def reports(files: list[bytes]) -> dict[str, Dataset]:
    """SOP class -> report."""
    read = [dcmread(io.BytesIO(data)) for data in files]
    return {
        str(each.SOPClassUID): each
        for each in read
        if each.SOPClassUID in (SECONDARY_CAPTURE, ENCAPSULATED_PDF)
    }


def told(files: list[bytes]) -> str:
    """What the PDF says, on one line."""
    content = bytes(reports(files)[ENCAPSULATED_PDF].EncapsulatedDocument).decode("ascii")
    lines = re.findall(r"^\((.*)\) '$", content, re.MULTILINE)
    return re.sub(r"\s+", " ", " ".join(lines)).replace("\\(", "(").replace("\\)", ")")


def counted(answered: Answered) -> dict[str, int]:
    """The sub-operations of the last response that says any."""
    counts = {}
    for line in answered.text.splitlines():
        for word in ("Completed", "Failed", "Warning"):
            if f"{word} Suboperations" in line and line.split(":")[-1].strip().isdigit():
                counts[word] = int(line.split(":")[-1])
    return counts


def whole(house: House, files: list[bytes], uids: list[str]) -> None:
    """Exactly these came, each byte for byte what the modality sent."""
    came = images(files)
    assert sorted(came) == sorted(uids)
    for uid in uids:
        assert data_set(came[uid]) == data_set(house.sent[uid]), uid


def of_study(house: House, study: str) -> list[str]:
    return [uid for uid, data in house.sent.items() if header(data).StudyInstanceUID == study]


# -- what is whole


def test_a_study_comes_back_by_c_get_byte_for_byte(house: House, study: str) -> None:
    sealed = house.pacs.download(str(house.pacs.find(of_study(house, study)[0])))
    assert data_set(sealed) != data_set(house.sent[of_study(house, study)[0]])
    files, answered = house.get(f"StudyInstanceUID={study}")
    whole(house, files, of_study(house, study))
    assert answered.code == 0
    assert counted(answered) == {"Completed": SLICES, "Failed": 0, "Warning": 0}


def test_a_study_comes_back_by_c_move_byte_for_byte(house: House, study: str) -> None:
    files, answered = house.move(f"StudyInstanceUID={study}")
    whole(house, files, of_study(house, study))
    assert counted(answered) == {"Completed": SLICES, "Failed": 0, "Warning": 0}
    assert "0x0000: Success" in answered.text
    assert f"Remaining Suboperations       : {SLICES - 1}" in answered.text


def test_all_levels_can_be_retrieved(house: House, study: str) -> None:
    uids = of_study(house, study)
    one = header(house.sent[uids[0]])
    files, _ = house.get(f"PatientID={one.PatientID}", level="PATIENT", options=("-P",))
    whole(house, files, uids)
    series = (f"StudyInstanceUID={study}", f"SeriesInstanceUID={one.SeriesInstanceUID}")
    files, _ = house.get(*series, level="SERIES")
    whole(house, files, uids)
    files, _ = house.get(*series, "SOPInstanceUID=" + "\\".join(uids[1:3]), level="IMAGE")
    whole(house, files, uids[1:3])


def test_a_request_for_nothing_that_is_there_is_a_success_of_nothing(house: House) -> None:
    files, answered = house.get("StudyInstanceUID=1.2.3.4")
    assert files == []
    assert counted(answered) == {"Completed": 0, "Failed": 0, "Warning": 0}


@pytest.mark.parametrize("keys", [(), ("StudyInstanceUID=*",), ("StudyInstanceUID=1.2\\x",)])
def test_a_request_without_its_unique_key_is_a_mismatch(house: House, keys: tuple[str, ...]) -> None:
    files, answered = house.move(*keys)
    assert files == []
    assert "0xa900" in answered.text


def test_nobody_moves_all_patients_at_once(house: House, study: str) -> None:
    assert of_study(house, study)
    files, answered = house.get("PatientID=*", level="PATIENT", options=("-P",))
    assert files == []
    assert "0xa900" in answered.text


def test_the_access_is_in_the_audit_log_and_the_patient_is_not(house: House, study: str) -> None:
    house.get(f"StudyInstanceUID={study}")
    log = (house.gateway.folder / "data" / "audit.log").read_text()
    assert '"reason": "c-get"' in log
    assert '"caller": "viewer"' in log
    for text in (log, house.gateway.log):
        assert study not in text
        assert str(header(house.sent[of_study(house, study)[0]]).PatientID) not in text


# -- where it may go


@pytest.mark.parametrize("to", ["NOWHERE", "ORTHANC"])
def test_nothing_is_moved_to_who_is_no_destination_or_is_the_archive(
    house: House, study: str, to: str
) -> None:
    before = house.pacs.count()
    files, answered = house.move(f"StudyInstanceUID={study}", to=to)
    assert files == []
    assert "0xa801" in answered.text
    assert house.pacs.count() == before


def test_a_destination_that_is_not_there_fails_all(house: House, study: str, tmp_path: Path) -> None:
    pacs = DemoDestination(name="pacs", ae_title=house.pacs.ae_title, port=house.pacs.dicom_port)
    gone = DemoDestination(name="gone", ae_title="GONE", port=free_port())
    with with_way_back(tmp_path, pacs, viewers=[gone]) as gateway:
        answered = movescu(
            gateway.dicom_port, "GONE", "QueryRetrieveLevel=STUDY", f"StudyInstanceUID={study}"
        )
        gateway.until_metric("sealgate_retrievals_total", 1, service="c-move", outcome="failed")
    assert "0xa702" in answered.text
    assert f"Failed Suboperations          : {SLICES}" in answered.text


def test_a_viewer_that_takes_implicit_vr_only_gets_it(tmp_path: Path, house: House, study: str) -> None:
    pacs = DemoDestination(name="pacs", ae_title=house.pacs.ae_title, port=house.pacs.dicom_port)
    with Storescp(tmp_path / "old", ae_title="OLD", options=("+xi", "+B")) as old:
        viewer = DemoDestination(name="old", ae_title="OLD", port=old.port)
        with with_way_back(tmp_path / "gateway", pacs, viewers=[viewer]) as gateway:
            gateway.keys.joinpath("signer.pub").write_bytes(
                house.gateway.keys.joinpath("signer.pub").read_bytes()
            )
            gateway.keys.joinpath("recipient.key").write_bytes(
                house.gateway.keys.joinpath("recipient.key").read_bytes()
            )
            answered = movescu(
                gateway.dicom_port, "OLD", "QueryRetrieveLevel=STUDY", f"StudyInstanceUID={study}"
            )
        files = [path.read_bytes() for path in old.files()]
    assert counted(answered) == {"Completed": SLICES, "Failed": 0, "Warning": 0}, gateway.log
    came = images(files)
    assert sorted(came) == sorted(of_study(house, study))
    for uid, data in came.items():
        read = dcmread(io.BytesIO(data))
        assert read.file_meta.TransferSyntaxUID == ImplicitVRLittleEndian
        sent = dcmread(io.BytesIO(house.sent[uid]))
        assert sent.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
        assert read.PixelData == sent.PixelData
        assert str(read.PatientName) == str(sent.PatientName)


def test_a_node_without_the_service_retrieves_nothing(tmp_path: Path, house: House, study: str) -> None:
    pacs = DemoDestination(name="pacs", ae_title=house.pacs.ae_title, port=house.pacs.dicom_port)
    with with_way_back(tmp_path, pacs, services=("echo", "find")) as gateway:
        answered = getscu(
            gateway.dicom_port, tmp_path / "got", "QueryRetrieveLevel=STUDY", f"StudyInstanceUID={study}"
        )
        assert answered.code != 0
        assert list((tmp_path / "got").iterdir()) == []
        assert gateway.metric("sealgate_contexts_refused_total", node="viewer", service="get") == 1


def test_who_may_get_may_not_store(house: House) -> None:
    """Contexts are open for what comes back; an object that is sent on one is refused."""
    path = house.folder / "smuggled.dcm"
    path.write_bytes(objects.ct(rows=32, columns=32, seed=99))
    with pytest.raises(Exception, match="storescu"):
        storescu(house.gateway.dicom_port, [path], called=TITLE, calling=VIEWER)


# -- what is not whole


def test_an_object_tampered_in_the_archives_folder_is_withheld_and_explained(house: House) -> None:
    study = house.seal(objects.series(3, size=128, seed=11))
    uids = of_study(house, study)
    path = house.stored_file(uids[1])
    stored = bytearray(path.read_bytes())
    stored[-2000] ^= 0x10
    path.write_bytes(stored)
    alerts = len(house.alerts())
    files, answered = house.get(f"StudyInstanceUID={study}")
    whole(house, files, [uids[0], uids[2]])
    assert counted(answered) == {"Completed": 2 + 2, "Failed": 1, "Warning": 0}
    (alert,) = house.alerts()[alerts:]
    assert (alert["outcome"], alert["reason"], alert["caller"]) == ("withheld", "tampered", "viewer")
    explained = reports(files)
    assert sorted(explained) == sorted([SECONDARY_CAPTURE, ENCAPSULATED_PDF])
    sent = header(house.sent[uids[1]])
    for report in explained.values():
        assert report.StudyInstanceUID == study
        assert report.SeriesInstanceUID != sent.SeriesInstanceUID
        assert (report.PatientID, str(report.PatientName)) == (sent.PatientID, str(sent.PatientName))
        assert report.SeriesDescription == "Seal report"
    assert "1 object NOT DELIVERED" in told(files)
    assert "Series 1, image 2: the image or its seal was changed" in told(files)
    assert explained[SECONDARY_CAPTURE].pixel_array.any()
    again, _ = house.get(f"StudyInstanceUID={study}")
    assert {kind: each.SOPInstanceUID for kind, each in reports(again).items()} == {
        kind: each.SOPInstanceUID for kind, each in explained.items()
    }
    moved, answered = house.move(f"StudyInstanceUID={study}")
    whole(house, moved, [uids[0], uids[2]])
    # DCMTK's getscu does not read the list that comes with the last response; movescu does.
    assert uids[1] in answered.text.partition("DIMSE Status                  : 0xb000")[2]
    assert sorted(reports(moved)) == sorted(explained)


def test_a_window_changed_in_the_archive_is_altered_and_marked(house: House) -> None:
    study = house.seal(objects.series(2, size=128, seed=12))
    uids = of_study(house, study)
    change = {"Replace": {"WindowCenter": "1", "WindowWidth": "2"}, "Keep": [], "Force": True}
    change["Keep"] = ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"]
    identifier = house.pacs.find(uids[0])
    changed = house.pacs.request("POST", f"/instances/{identifier}/modify", json.dumps(change).encode())
    house.pacs.upload(changed)
    files, answered = house.get(f"StudyInstanceUID={study}")
    assert counted(answered) == {"Completed": 1 + 2, "Failed": 0, "Warning": 1}
    came = images(files)
    assert sorted(came) == sorted(uids)
    assert data_set(came[uids[1]]) == data_set(house.sent[uids[1]])
    marked = header(came[uids[0]])
    assert marked.ImageComments.startswith("SEALGATE: verification failed: altered (changed: WindowCenter")
    assert marked.get("SeriesDescription") == header(house.sent[uids[0]]).get("SeriesDescription")
    assert "1 object DELIVERED WITH A MARK" in told(files)
    assert "WindowCenter" in told(files)


def test_a_whole_object_in_the_place_of_another_is_not_delivered_twice(house: House) -> None:
    """Orthanc can't even answer queries about such an object, and sends the other one in its place."""
    study = house.seal(objects.series(2, size=128, seed=13))
    uids = of_study(house, study)
    first, second = map(house.stored_file, uids)
    first.write_bytes(second.read_bytes())
    files, answered = house.get(f"StudyInstanceUID={study}")
    whole(house, files, [uids[1]])
    assert counted(answered)["Failed"] == 1
    assert "the archive lists it, but did not send it" in told(files)


def test_an_object_that_was_never_sealed_is_delivered_marked(house: House) -> None:
    data = objects.ct(rows=64, columns=64, seed=14)
    house.pacs.upload(data)
    files, _ = house.get(f"StudyInstanceUID={header(data).StudyInstanceUID}")
    (came,) = images(files).values()
    assert header(came).ImageComments == "SEALGATE: verification failed: unsealed. See the Seal report"
    assert dcmread(io.BytesIO(came)).PixelData == dcmread(io.BytesIO(data)).PixelData
    assert house.gateway.metric("sealgate_retrieved_total", verdict="unsealed", outcome="marked") >= 1
