"""A gateway that seals, before an archive that keeps wire bytes: is what arrives there what was sent?"""

from __future__ import annotations

import json
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    MediaStorageDirectoryStorage,
)

from gateway import keys
from gateway.commands.demo.gateway_process import DemoDestination, DemoRoute
from gateway.commands.demo.process import free_port
from gateway.dicom import part10
from gateway.dicom.image import pixel_format
from gateway.dicom.pixels import decode
from gateway.errors import InputError
from gateway.seal.codec.codec import Codec
from gateway.seal.restoring import restore
from gateway.seal.verifying import Verdict, verify
from tests.cli.terminal import sealgate
from tests.support import objects
from tests.support.archive import AE_TITLE, Archive
from tests.support.gateway import RunningGateway, wait_for
from tests.support.modality import CONTEXT_REFUSED, Parcel, parcel, send

# Refused at association: a DICOMDIR belongs to a medium (PS3.10 8), not to a network.
REFUSED = {str(MediaStorageDirectoryStorage)}


@dataclass
class Line:
    """A gateway that forwards to an archive which keeps bytes."""

    gateway: RunningGateway
    archive: Archive

    def settle(self, sent: int) -> None:
        """Wait until no job is ready or leased. Deliveries behind a parked preparation stay waiting."""
        wait_for(lambda: not self.unfinished(), what="an idle queue", timeout_s=240 + sent)

    def unfinished(self) -> list[dict[str, object]]:
        return [job for job in self.jobs() if job["state"] in ("ready", "leased")]

    def jobs(self) -> list[dict[str, object]]:
        done = sealgate(
            ["queue", "list", "--json", "--limit", "100000", "--config", str(self.gateway.config)],
            self.gateway.folder,
        )
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]


@contextmanager
def running_line(
    folder: Path, *, actions: Mapping[str, str] = MappingProxyType({"SEALGATE": "seal"}), extra: str = ""
) -> Iterator[Line]:
    """actions: called AE title -> what its route does. extra: further tables of the configuration."""
    (folder / "archive").mkdir(parents=True)
    archive = Archive(folder / "archive").start()
    gateway = RunningGateway(
        folder / "gateway",
        nodes=[DemoDestination(name="archive", ae_title=AE_TITLE, port=archive.port)],
        routes=[
            DemoRoute(called=called, action=action, to=("archive",)) for called, action in actions.items()
        ],
        extra=extra,
        dicom_port=free_port(),
        http_port=free_port(),
    )
    try:
        with gateway:
            yield Line(gateway, archive)
    finally:
        archive.stop()


def through_and_judged(line: Line, codec: Codec, files: list[bytes]) -> None:
    """Send `files` (Part 10, or anything) and assert that each is delivered as its level allows, or put aside."""
    sent = [parcel(data, fallback_uid=objects.uid("fallback", n)) for n, data in enumerate(files)]
    statuses = send(sent, line.gateway.dicom_port)
    refused = {
        item.sop_class for item, status in zip(sent, statuses, strict=True) if status == CONTEXT_REFUSED
    }
    assert refused <= REFUSED
    taken = [item for item, status in zip(sent, statuses, strict=True) if status == 0]
    assert len(taken) == len(sent) - Counter(statuses)[CONTEXT_REFUSED], "every object is taken over"
    line.settle(len(sent))
    delivered = line.archive.files()
    parked = [job for job in line.jobs() if job["state"] == "parked"]
    assert all(job["reason"] for job in parked)
    quarantined = line.gateway.metric("sealgate_quarantined_total")
    different = len({(item.sop_instance, item.dataset) for item in taken})
    assert len(delivered) + quarantined >= different, "no object is lost"
    assert line.gateway.process is not None and line.gateway.process.running
    _assert_delivered_are_what_was_sent(line, codec, sent, delivered)


def _assert_delivered_are_what_was_sent(
    line: Line, codec: Codec, sent: list[Parcel], delivered: list[bytes]
) -> None:
    wrong = wrong_deliveries(line, codec, sent, delivered)
    assert not wrong, "\n".join(wrong)


def wrong_deliveries(
    line: Line, codec: Codec, sent: Sequence[Parcel], delivered: Sequence[bytes]
) -> list[str]:
    """A line for each delivered object that is not one of those sent, as its level allows it to differ."""
    trusted = keys.load_trusted_signers(line.gateway.keys / "signer.pub")
    recipient_key = keys.load_recipient_key(line.gateway.keys / "recipient.key")
    by_uid: dict[str, list[Parcel]] = {}
    for item in sent:
        by_uid.setdefault(item.sop_instance, []).append(item)
    return [
        reason
        for data in delivered
        if (reason := _what_is_wrong(data, by_uid, trusted=trusted, recipient_key=recipient_key, codec=codec))
    ]


def _what_is_wrong(
    data: bytes,
    by_uid: dict[str, list[Parcel]],
    *,
    trusted: keys.TrustedSigners,
    recipient_key: keys.RecipientKey,
    codec: Codec,
) -> str:
    """Why a delivered object is not one that was sent, as its level allows it to differ; empty when it is."""
    arrived = parcel(data, fallback_uid="")
    candidates = by_uid[arrived.sop_instance]
    if any(arrived.dataset == item.dataset for item in candidates):
        return ""  # level pass
    report = verify(data, trusted=trusted, recipient_key=recipient_key, codec=codec)
    if report.verdict is not Verdict.INTACT:
        return f"{arrived.sop_instance}: {report.verdict}"
    if report.level == "digest":
        same = any(_only_block_added(item, arrived) for item in candidates)
        return "" if same else f"{arrived.sop_instance}: more than the block was added"
    original, restoration = restore(data, recipient_key=recipient_key, codec=codec)
    if original is None:
        return f"{arrived.sop_instance}: {restoration.reason}"
    back = parcel(original, fallback_uid="")
    same = any(back.dataset == item.dataset or _same_pixels(back, item) for item in candidates)
    return "" if same else f"{arrived.sop_instance}: restored to other pixels"


def _same_pixels(a: Parcel, b: Parcel) -> bool:
    """Another encoder's codestream may differ, what it decodes to must not; the same for repaired headers."""
    return _decoded(a) is not None and _decoded(a) == _decoded(b)


def _decoded(item: Parcel) -> bytes | None:
    """Stored values; None for a damaged object that happens to have the same UID."""
    try:
        file = part10.read(item.as_file())
        return decode(file, pixel_format(file)).samples.tobytes()
    except InputError:
        return None


def _only_block_added(before: Parcel, after: Parcel) -> bool:
    """Whether `after` is `before` with one run of bytes of group 0071 put in; compressed data sets are inflated."""
    if before.syntax != after.syntax:
        return False
    old, new = before.dataset, after.dataset
    if before.syntax == DeflatedExplicitVRLittleEndian:
        old, new = zlib.decompress(old, -15), zlib.decompress(new, -15)
    added = len(new) - len(old)
    start = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), len(old))
    # The run may begin earlier when its first bytes equal what follows it: look for the group there too.
    return added > 0 and any(
        old[at:] == new[at + added :] and new[at : at + 2] in (b"\x71\x00", b"\x00\x71")
        for at in range(start, max(-1, start - 8), -1)
    )
