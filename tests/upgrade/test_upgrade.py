"""A data folder that the version before left behind, killed in the middle of its work, is taken over by this one.

`make` made the folders; `contents.json` says what the old version listed of them.
"""

from __future__ import annotations

import json
import shutil
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from gateway.commands.demo.process import free_port
from gateway.observe.pseudonyms import Pseudonyms
from tests.cli.terminal import sealgate
from tests.peers.test_commitment import SUCCESSFUL, Requester
from tests.support.dcmtk import Storescp
from tests.support.gateway import RunningGateway, wait_for
from tests.support.modality import Parcel, parcel, send
from tests.upgrade.before import FOLDERS, KINDS, TOKEN, TRANSACTION, Ports, gateway

DELIVERED_BY_THE_OLD_ONE = {"delivered"}
TO_PACS = {"unprepared-1", "unprepared-2", "unprepared-3"}
TO_LATE = {"waiting-1", "waiting-2", "untouched", "unprepared-4"}
# An old request that waits is looked at once a minute only.
REPORT_TIMEOUT_S = 150.0
LEFT_ALONE = {"held": "held", "refused": "parked", "unsealed": "parked", "unreadable": "parked"}


@dataclass
class Upgraded:
    """A copy of an old folder, with the peers that it needs."""

    folder: Path
    pacs: Storescp
    late: Storescp
    strict: Storescp
    requester: Requester
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        ports = Ports(
            pacs=self.pacs.port,
            late=self.late.port,
            strict=self.strict.port,
            requester=self.requester.port,
        )
        self.gateway: RunningGateway = gateway(self.folder, ports)
        self.contents: dict[str, Any] = json.loads((self.folder / "contents.json").read_text())
        self.instances: dict[str, str] = self.contents["instances"]

    def sent(self, name: str) -> Parcel:
        return parcel((FOLDERS / "sent" / f"{name}.dcm").read_bytes(), fallback_uid="2.25.1")

    def call(self, *words: str) -> list[dict[str, Any]]:
        """The JSON lines of `sealgate WORDS` with the configuration of the gateway."""
        done = sealgate([*words, "--config", str(self.gateway.config)], self.folder)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]

    def arrived(self, at: Storescp) -> dict[str, Path]:
        """SOP Instance UID -> file, of what this version has delivered there."""
        return {str(dcmread(path, stop_before_pixels=True).SOPInstanceUID): path for path in at.files()}

    def named(self, *names: str) -> set[str]:
        return {self.instances[name] for name in names}

    def job_of(self, name: str, state: str) -> dict[str, Any]:
        """As the old version listed it."""
        pseudonym = Pseudonyms.load(self.folder / "data").of(self.instances[name])
        (job,) = [
            job for job in self.contents["jobs"] if job["instance"] == pseudonym and job["state"] == state
        ]
        return dict(job)


@pytest.fixture(params=KINDS)
def upgraded(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Upgraded]:
    folder = tmp_path / "gateway"
    shutil.copytree(FOLDERS / request.param, folder)
    for secret in [*folder.glob("keys/*.key"), *folder.glob("*.key")]:
        secret.chmod(0o600)  # git keeps no modes
    with ExitStack() as peers:
        pacs = peers.enter_context(Storescp(tmp_path / "pacs"))
        late = peers.enter_context(Storescp(tmp_path / "late", ae_title="LATE"))
        strict = peers.enter_context(Storescp(tmp_path / "strict", ae_title="PEER"))
        requester = peers.enter_context(Requester(port=free_port()))
        taken_over = Upgraded(folder, pacs, late, strict, requester)
        for variable, value in taken_over.gateway.environment.items():
            monkeypatch.setenv(variable, value)
        yield taken_over


def test_what_waited_is_delivered_and_what_people_must_decide_is_left_to_them(upgraded: Upgraded) -> None:
    with upgraded.gateway:
        wait_for(lambda: len(upgraded.pacs.files()) == len(TO_PACS), what="what was not prepared")
        wait_for(lambda: len(upgraded.late.files()) == len(TO_LATE), what="what waited for its destination")
        wait_for(
            lambda: bool(upgraded.requester.reports),
            what="the report of storage commitment",
            timeout_s=REPORT_TIMEOUT_S,
        )
        assert set(upgraded.arrived(upgraded.pacs)) == upgraded.named(*TO_PACS)
        assert set(upgraded.arrived(upgraded.late)) == upgraded.named(*TO_LATE)

        left = {job["id"]: job for job in upgraded.call("queue", "list", "--json")}
        for name, state in LEFT_ALONE.items():
            before = upgraded.job_of(name, state)
            now = left[before["id"]]
            assert {key: now[key] for key in before} == before
        assert upgraded.gateway.metric("sealgate_quarantined_total") == 0
        standing = {line["destination"]: line for line in upgraded.call("queue", "destinations", "--json")}
        assert standing["strict"]["paused_at"] is not None

    ((kind, information),) = upgraded.requester.reports
    assert kind == SUCCESSFUL
    assert information.TransactionUID == TRANSACTION
    committed = {item.ReferencedSOPInstanceUID for item in information.ReferencedSOPSequence}
    assert committed == upgraded.named("waiting-1", "waiting-2")


def test_what_was_held_or_parked_goes_on_when_people_say_so(upgraded: Upgraded, tmp_path: Path) -> None:
    with upgraded.gateway:
        upgraded.call("queue", "release", str(upgraded.job_of("held", "held")["id"]))
        upgraded.call("queue", "resume", "strict")
        upgraded.call("queue", "retry", str(upgraded.job_of("refused", "parked")["id"]))
        listed = upgraded.call("quarantine", "list", "--json")
        assert listed == upgraded.contents["quarantine"]
        for entry in listed:
            target = tmp_path / f"{entry['reason']}.dcm"
            upgraded.call("quarantine", "export", entry["id"], str(target))
            assert target.read_bytes().endswith(upgraded.sent(entry["reason"]).dataset)
        for entry in listed:
            upgraded.call("quarantine", "release", entry["id"], "--as-received")
        assert upgraded.call("quarantine", "list", "--json") == []
        wait_for(lambda: upgraded.gateway.metric("sealgate_queue_jobs") == 0, what="an empty queue")
    assert set(upgraded.arrived(upgraded.late)) == upgraded.named(*TO_LATE, "held", "unsealed")
    assert set(upgraded.arrived(upgraded.strict)) == upgraded.named("refused")
    for name, destination in (("unsealed", upgraded.late), ("unreadable", upgraded.pacs)):
        untouched = upgraded.sent(name).dataset
        assert [path.read_bytes().endswith(untouched) for path in destination.files()].count(True) == 1


def test_seals_of_both_versions_verify_with_the_old_keys_and_give_the_original_back(
    upgraded: Upgraded, tmp_path: Path
) -> None:
    with upgraded.gateway:
        wait_for(lambda: len(upgraded.pacs.files()) == len(TO_PACS), what="what was not prepared")
        wait_for(lambda: len(upgraded.late.files()) == len(TO_LATE), what="what waited for its destination")
    delivered = upgraded.arrived(upgraded.pacs) | upgraded.arrived(upgraded.late)
    names = (TO_PACS | TO_LATE) - {"untouched"}
    sealed = tmp_path / "sealed"
    sealed.mkdir()
    for name in names:
        shutil.copyfile(delivered[upgraded.instances[name]], sealed / f"{name}.dcm")
    keys = ["--signers", "keys/signer.pub", "--recipient-key", "keys/recipient.key", "--json"]
    verified = sealgate(["verify", str(sealed), *keys], upgraded.folder)
    assert verified.returncode == 0, verified.stdout
    verdicts = [json.loads(line) for line in verified.stdout.splitlines()]
    assert [line["verdict"] for line in verdicts] == ["intact"] * len(names)
    assert {line["level"] for line in verdicts} == {"full", "digest"}
    restored = sealgate(["restore", str(sealed), str(tmp_path / "restored"), *keys], upgraded.folder)
    assert restored.returncode == 0, restored.stderr
    for name in names:
        original = (tmp_path / "restored" / f"{name}.dcm").read_bytes()
        assert original.endswith(upgraded.sent(name).dataset), name


def test_what_the_old_version_knew_is_still_known(upgraded: Upgraded) -> None:
    audit = (upgraded.folder / "data" / "audit.log").read_bytes()
    pseudonyms = Pseudonyms.load(upgraded.folder / "data")
    unfinished = {
        pseudonyms.of(uid) for name, uid in upgraded.instances.items() if name not in DELIVERED_BY_THE_OLD_ONE
    }
    assert {job["instance"] for job in upgraded.contents["jobs"]} == unfinished
    with upgraded.gateway as running:
        wait_for(lambda: len(upgraded.pacs.files()) == len(TO_PACS), what="what was not prepared")
        assert send([upgraded.sent("delivered")], running.dicom_port) == [0]
        assert send([upgraded.sent("held")], running.dicom_port, called="LATER") == [0]
        assert running.metric("sealgate_repeated_total") == 2
        assert running.metric("sealgate_received_total") == 0
        (job,) = upgraded.call("queue", "list", "--json", "--state", "held")
        assert job["id"] == upgraded.job_of("held", "held")["id"]
        assert pseudonyms.of(upgraded.instances["delivered"]) in audit.decode()
        ask_for_a_record(running, upgraded.pacs.files()[0].read_bytes())
    assert len(upgraded.pacs.files()) == len(TO_PACS)
    after = (upgraded.folder / "data" / "audit.log").read_bytes()
    assert after.startswith(audit)
    assert after.count(b"\n") == audit.count(b"\n") + 1


def ask_for_a_record(running: RunningGateway, sealed: bytes) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/dicom"}
    request = urllib.request.Request(f"{running.url}/api/v1/extract", data=sealed, headers=headers)
    urllib.request.urlopen(request, timeout=60).close()


def test_an_encrypted_spool_stays_encrypted() -> None:
    folder = FOLDERS / "encrypted" / "data"
    files = [path for path in folder.rglob("*.dcm") if path.is_file()]
    assert len(files) > 10
    assert not [path.name for path in files if b"SYN-00" in path.read_bytes()]
