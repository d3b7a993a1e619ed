"""Every answer of the intake, with a real spool and a real queue: what is accepted is durable, what is refused leaves
nothing behind.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
from blake3 import blake3
from structlog.testing import capture_logs

from gateway.config import Config
from gateway.dicom import part10
from gateway.dicom.file_meta import unwrap
from gateway.dicom.lazy_bytes import ByteSource
from gateway.dicom.syntaxes import DEFLATED_LE
from gateway.dicom.tags import SOP_INSTANCE_UID
from gateway.errors import ResourceError, SpoolFull
from gateway.observe import Metrics, logger
from gateway.observe.pseudonyms import Pseudonyms
from gateway.queue import Arrival, Put, State, Step
from gateway.queue.sqlite.admin import SqliteQueueAdmin
from gateway.queue.sqlite.queue import SqliteQueue
from gateway.receive.intake import Accepted, Intake, Rejected, Rejection, StoreRequest
from gateway.spool import LocalSpool
from gateway.spool.quarantine import Quarantine
from tests.support.objects import ct
from tests.support.spool import file_of

Result = TypeVar("Result")


@dataclass
class InMemory:
    """A data set as an HTTP body may bring it: nothing of DIMSE."""

    spool: LocalSpool
    content: bytes
    failure: ResourceError | None = None
    discarded: int = 0

    @property
    def size(self) -> int:
        return len(self.content)

    def digest(self, syntax: str, /) -> str:
        return blake3(syntax.encode() + b"\0" + self.content).hexdigest()

    def looked_at(self, look: Callable[[ByteSource], Result], /) -> Result:
        return look(self.content)

    def keep(self, head: bytes, /) -> str:
        return self.spool.put(head, self.content)

    def discard(self) -> None:
        self.discarded += 1


@dataclass
class House:
    """An intake on a data folder, with what it uses."""

    folder: Path
    queue: SqliteQueue
    listener: dict[str, str] = field(default_factory=dict)
    changed: str = "update"
    arrivals: int = 0

    def __post_init__(self) -> None:
        self.spool = LocalSpool(self.folder)
        self.quarantine = Quarantine(self.folder)
        self.metrics = Metrics()
        self.intake = self.opened()

    def opened(self) -> Intake:
        route = {"called": "IN", "action": "pass", "to": ["pacs"]}
        config = Config.model_validate(
            {
                "listener": self.listener,
                "queue": {"changed": self.changed},
                "destination": [{"name": "pacs", "ae_title": "P", "host": "h", "port": 104}],
                "route": [route | {"modality": "MR", "priority": "low"}, route],
            }
        )
        return Intake(
            config=lambda: config,
            spool=self.spool,
            quarantine=self.quarantine,
            queue=self.queue,
            pseudonyms=Pseudonyms.load(self.folder),
            metrics=self.metrics,
            log=logger(),
            arrived=self.note_arrival,
        )

    def note_arrival(self) -> None:
        self.arrivals += 1

    def request(self, file: bytes, **values: Any) -> StoreRequest:
        head = unwrap(file)
        known: dict[str, Any] = {
            "called": "IN",
            "calling": "CT1",
            "sop_class": head.sop_class,
            "sop_instance": head.sop_instance,
            "syntax": head.syntax,
            "urgent": False,
            "data": InMemory(self.spool, file[head.offset :]),
        }
        return StoreRequest(**(known | values))

    def accept(self, file: bytes, **values: Any) -> Accepted | Rejected:
        request = self.request(file, **values)
        answer = self.intake.accept(request)
        assert isinstance(request.data, InMemory)
        assert request.data.discarded == 1
        return answer

    def metric(self, line: str) -> bool:
        return line in self.metrics.exposition().decode().splitlines()


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[SqliteQueue]:
    queue = SqliteQueue(tmp_path / "queue.sqlite")
    yield queue
    queue.close()


@pytest.fixture
def house(tmp_path: Path, queue: SqliteQueue) -> House:
    return House(tmp_path, queue)


FILE = ct(rows=16, columns=16)
CHANGED = ct(rows=16, columns=16, PatientComments="other bytes under the same UID")
DAMAGED = FILE[: unwrap(FILE).offset] + b"garbage" * 20
NAMELESS = part10.read(FILE).edited({SOP_INSTANCE_UID: None})


def test_a_new_object_is_in_spool_and_queue_and_workers_are_told(house: House) -> None:
    assert house.accept(FILE) == Accepted(Put.NEW)
    (job,) = house.queue.claim("w", step=Step.DELIVER, destination="pacs", limit=10, lease_s=60)
    assert (
        house.spool.read(job.incoming)[unwrap(house.spool.read(job.incoming)).offset :]
        == (FILE[unwrap(FILE).offset :])
    )
    assert (job.called, job.calling, job.action, job.priority) == ("IN", "CT1", "pass", 1)
    assert job.study is not None
    assert house.queue.files() == set(house.spool.names())
    assert house.arrivals == 1
    assert house.metric('sealgate_received_total{called="IN"} 1.0')


def test_the_file_names_what_the_request_named(house: House) -> None:
    house.accept(DAMAGED, sop_instance="1.2.3", sop_class="1.2.4")
    (name,) = house.spool.names()
    head = unwrap(house.spool.read(name))
    assert (head.sop_class, head.sop_instance, head.syntax) == ("1.2.4", "1.2.3", unwrap(FILE).syntax)


@pytest.mark.parametrize("named", [{"sop_instance": "1.2.3"}, {"sop_class": "1.2.4"}])
def test_an_object_that_says_something_else_of_itself_than_its_request_is_refused(
    house: House, named: dict[str, str]
) -> None:
    with capture_logs() as lines:
        assert house.accept(FILE, **named) == Rejected(Rejection.MISMATCH)
    assert [(line["event"], line["code"]) for line in lines] == [("refused", "instance-mismatch")]
    assert list(house.spool.names()) == []
    assert house.queue.files() == set()
    assert house.metric('sealgate_failures_total{code="instance-mismatch",step="receive"} 1.0')


@pytest.mark.parametrize("other", [DAMAGED, NAMELESS], ids=["damaged", "nameless"])
def test_an_object_that_does_not_name_itself_takes_no_place_of_the_one_its_request_names(
    house: House, tmp_path: Path, other: bytes
) -> None:
    """Delivered, it would be the newer version, and the one that waits would be dropped as superseded."""
    head = unwrap(FILE)
    house.accept(FILE)
    (victim,) = house.queue.claim("w", step=Step.DELIVER, destination="pacs", limit=1, lease_s=60)
    house.queue.park("w", victim, reason="refused-by-peer", hint="")
    assert house.accept(other, sop_instance=head.sop_instance, sop_class=head.sop_class) == Accepted(Put.NEW)
    (job,) = house.queue.claim("w", step=Step.DELIVER, destination="pacs", limit=1, lease_s=60)
    assert job.pseudonym != victim.pseudonym
    house.queue.delivered("w", [job])
    admin = SqliteQueueAdmin(tmp_path / "queue.sqlite")
    assert admin.retry([victim.id]) == [victim.id]
    retried = admin.show(victim.id)
    admin.close()
    assert retried is not None and retried.state is State.READY


def test_an_object_whose_route_is_not_seen_at_a_glance_is_refused_and_in_the_quarantine(house: House) -> None:
    """A deflated megabyte could take gigabytes to look at, here, where all associations are."""
    content = FILE[unwrap(FILE).offset :]
    at = content.index(b"\x08\x00\x20\x00")
    blown_up = content[:at] + b"\x08\x00\x19\x00UN\0\0" + (64 << 20).to_bytes(4, "little") + bytes(64 << 20)
    engine = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    data = InMemory(house.spool, engine.compress(blown_up + content[at:]) + engine.flush())
    with capture_logs() as lines:
        assert house.accept(FILE, syntax=DEFLATED_LE, data=data) == Rejected(Rejection.UNDECIDED)
    (entry,) = house.quarantine.entries()
    assert [(line["event"], line["code"]) for line in lines] == [("refused", "header-too-large")]
    assert (entry.note.reason, entry.note.job) == ("header-too-large", None)
    assert house.queue.files() == set()


def test_an_urgent_request_goes_before_what_its_route_says(house: House) -> None:
    house.accept(FILE, urgent=True)
    (job,) = house.queue.claim("w", step=Step.DELIVER, destination="pacs", limit=10, lease_s=60)
    assert job.priority == 0


def test_repeated_bytes_are_accepted_and_kept_once(house: House) -> None:
    house.accept(FILE)
    names = list(house.spool.names())
    assert house.accept(FILE) == Accepted(Put.KNOWN)
    assert list(house.spool.names()) == names
    assert house.arrivals == 2, "a parked job may be ready again"
    assert house.metric("sealgate_repeated_total 1.0")


def test_the_same_bytes_on_two_associations_at_once_are_kept_once(house: House) -> None:
    """Neither knows of the other when it asks the queue; the slower one takes its file back."""

    class Overtaken(InMemory):
        def keep(self, head: bytes, /) -> str:
            assert house.accept(FILE) == Accepted(Put.NEW)
            return super().keep(head)

    data = Overtaken(house.spool, FILE[unwrap(FILE).offset :])
    assert house.accept(FILE, data=data) == Accepted(Put.KNOWN)
    assert set(house.spool.names()) == house.queue.files()
    assert len(house.queue.files()) == 1


@pytest.mark.parametrize("policy", ["update", "hold"])
def test_a_changed_object_is_accepted_where_the_configuration_says_so(
    tmp_path: Path, queue: SqliteQueue, policy: str
) -> None:
    house = House(tmp_path, queue, changed=policy)
    house.accept(FILE)
    with capture_logs() as lines:
        assert house.accept(CHANGED) == Accepted(Put.CHANGED)
    assert [(line["event"], line["policy"]) for line in lines] == [("changed instance", policy)]
    assert len(list(house.spool.names())) == 2
    assert house.metric(f'sealgate_changed_total{{policy="{policy}"}} 1.0')


def test_a_changed_object_that_is_refused_leaves_nothing_behind(tmp_path: Path, queue: SqliteQueue) -> None:
    house = House(tmp_path, queue, changed="refuse")
    house.accept(FILE)
    names = list(house.spool.names())
    with capture_logs() as lines:
        assert house.accept(CHANGED) == Rejected(Rejection.CHANGED)
    assert [(line["event"], line["code"]) for line in lines] == [("refused", "changed-instance")]
    assert list(house.spool.names()) == names
    assert house.arrivals == 1


@pytest.mark.parametrize("values", [{"called": "OUT"}, {"called": "in"}])
def test_what_no_route_takes_leaves_nothing_behind(house: House, values: dict[str, str]) -> None:
    with capture_logs() as lines:
        assert house.accept(FILE, **values) == Rejected(Rejection.NO_ROUTE)
    assert [(line["event"], line["code"]) for line in lines] == [("refused", "no-route")]
    assert list(house.spool.names()) == []
    assert house.queue.files() == set()
    assert house.arrivals == 0


def test_what_cannot_be_parsed_is_accepted_where_the_configuration_does_not_refuse_it(house: House) -> None:
    assert house.accept(DAMAGED) == Accepted(Put.NEW)


def test_what_cannot_be_parsed_and_is_refused_is_in_the_quarantine_only(
    tmp_path: Path, queue: SqliteQueue
) -> None:
    house = House(tmp_path, queue, listener={"unreadable": "refuse"})
    with capture_logs() as lines:
        assert house.accept(DAMAGED) == Rejected(Rejection.UNREADABLE)
    (entry,) = house.quarantine.entries()
    assert [(line["event"], line["code"], line["file"]) for line in lines] == [
        ("refused", "unreadable", entry.id)
    ]
    assert house.quarantine.read(entry).endswith(b"garbage")
    note = entry.note
    assert (note.reason, note.action, note.job, note.calling) == ("unreadable", "refuse", None, "CT1")
    assert list(house.spool.names()) == []
    assert house.queue.files() == set()


def test_a_data_set_that_did_not_arrive_whole_is_not_durable(house: House) -> None:
    data = InMemory(house.spool, b"half", failure=SpoolFull("full"))
    with capture_logs() as lines:
        assert house.accept(FILE, data=data) == Rejected(Rejection.NOT_DURABLE)
    assert [(line["event"], line["code"]) for line in lines] == [("not durable", "spool-full")]
    assert list(house.spool.names()) == []
    assert house.metric('sealgate_failures_total{code="spool-full",step="receive"} 1.0')


def test_a_disk_that_takes_no_file_leaves_the_queue_untouched(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fdatasync", full)
    monkeypatch.setattr(os, "fsync", full)
    assert house.accept(FILE) == Rejected(Rejection.NOT_DURABLE)
    monkeypatch.undo()
    assert house.queue.files() == set()
    assert list(house.spool.names()) == []
    assert house.accept(FILE) == Accepted(Put.NEW)


def test_the_spool_keeps_an_object_before_the_queue_knows_it(house: House) -> None:
    order = []
    put = house.queue.put

    class Watched(SqliteQueue):
        def put(self, arrival: Arrival) -> Put:
            assert file_of(house.spool, arrival.incoming).exists()
            order.append("queued")
            return put(arrival)

    class Noted(InMemory):
        def keep(self, head: bytes, /) -> str:
            name = super().keep(head)
            order.append("kept")
            return name

    house.queue = Watched(house.folder / "queue.sqlite")
    house.intake = house.opened()
    house.accept(FILE, data=Noted(house.spool, FILE[unwrap(FILE).offset :]))
    house.queue.close()
    assert order == ["kept", "queued"]


def test_what_the_queue_does_not_take_is_not_accepted_and_can_be_sent_again(
    house: House, tmp_path: Path
) -> None:
    """Whether the job became durable is not known then: the object stays until it is found to be an orphan."""
    house.queue.close()
    assert house.accept(FILE) == Rejected(Rejection.NOT_DURABLE)
    assert house.arrivals == 0
    house.queue = SqliteQueue(tmp_path / "queue.sqlite")
    house.intake = house.opened()
    assert house.accept(FILE) == Accepted(Put.NEW)
    house.queue.close()


def test_a_parked_job_whose_object_was_lost_is_mended_by_the_same_bytes(house: House, tmp_path: Path) -> None:
    house.accept(FILE)
    (job,) = house.queue.claim("w", step=Step.DELIVER, destination="pacs", limit=1, lease_s=60)
    house.spool.remove([job.incoming])
    house.queue.park("w", job, reason="file-missing", hint="")
    assert house.accept(FILE) == Accepted(Put.NEW)
    admin = SqliteQueueAdmin(tmp_path / "queue.sqlite")
    assert {name.incoming for name in admin.list()} == set(house.spool.names()) != {job.incoming}
    admin.close()
