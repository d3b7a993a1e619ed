"""A modality that sends raw data set bytes exactly as they are in the file, damaged ones included.

DCMTK's senders parse and re-encode; this one does not, so hostile files reach the gateway unchanged.
"""

from __future__ import annotations

import io
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian, SecondaryCaptureImageStorage
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.presentation import build_context

from gateway.dicom.glance import glance
from gateway.dicom.part10 import file_meta
from gateway.dicom.tags import SOP_CLASS_UID, SOP_INSTANCE_UID
from gateway.errors import UnreadableObject

CONTEXT_REFUSED = 0x0122  # SOP class not supported (PS3.7 C.5.6): what a modality concludes
CONTEXTS_MAX = 128  # PS3.8: presentation context ids are odd numbers of one byte


@dataclass(frozen=True)
class Parcel:
    """One object ready to be sent: what the C-STORE request says, and the data set bytes."""

    sop_class: str
    sop_instance: str
    syntax: str
    dataset: bytes
    priority: int = 2  # 0 medium, 1 high, 2 low (PS3.7 9.3.1.1)

    def as_file(self) -> bytes:
        """A Part 10 file with file meta information of its own."""
        meta = FileMetaDataset()
        meta.FileMetaInformationVersion = b"\0\1"
        meta.MediaStorageSOPClassUID = UID(self.sop_class)
        meta.MediaStorageSOPInstanceUID = UID(self.sop_instance)
        meta.TransferSyntaxUID = UID(self.syntax)
        meta.ImplementationClassUID = UID("2.25.2")
        header = DicomBytesIO()
        write_file_meta_info(header, meta)
        return bytes(128) + b"DICM" + header.getvalue() + self.dataset


def parcel(data: bytes, *, fallback_uid: str) -> Parcel:
    """Split a file into meta information and data set bytes.

    SOP class and instance are those of the data set where it names them, as senders name them in their requests. A file
    without readable meta information is sent whole, as secondary capture `fallback_uid`, in the syntax its first bytes
    suggest: that is what a broken modality would do.
    """
    try:
        meta, start = file_meta(data)
    except UnreadableObject:
        meta, start = {}, 0
    if not meta:
        explicit = len(data) > 6 and data[4:6].isalpha()
        syntax = str(ExplicitVRLittleEndian if explicit else ImplicitVRLittleEndian)
        return Parcel(str(SecondaryCaptureImageStorage), fallback_uid, syntax, data)
    uids = [meta.get(tag, b"").decode("latin-1").strip(" \0") for tag in (0x00020002, 0x00020003, 0x00020010)]
    fallbacks = (str(SecondaryCaptureImageStorage), fallback_uid, str(ExplicitVRLittleEndian))
    sop_class, sop_instance, syntax = (
        uid if re.fullmatch(r"[0-9.]{1,64}", uid) else fallback
        for uid, fallback in zip(uids, fallbacks, strict=True)
    )
    dataset = data[start:]
    named = glance(dataset, syntax, {SOP_CLASS_UID, SOP_INSTANCE_UID}).values
    # No request can name what is not ASCII.
    seen = {tag: uid for tag, uid in named.items() if uid.isascii()}
    return Parcel(
        seen.get(SOP_CLASS_UID) or sop_class, seen.get(SOP_INSTANCE_UID) or sop_instance, syntax, dataset
    )


def send(
    parcels: Iterable[Parcel],
    port: int,
    *,
    called: str = "SEALGATE",
    calling: str = "MODALITY",
    host: str = "127.0.0.1",
    answered: Callable[[int], None] = lambda _status: None,
) -> list[int]:
    """Send all parcels; the C-STORE status of each, in order, CONTEXT_REFUSED where none could be sent.

    answered: told each status as soon as it is known. Opens a new association when contexts run out. Raises
    AssertionError when an association is refused or the peer hangs up.
    """
    statuses: list[int] = []
    batch: list[Parcel] = []
    offered: set[tuple[str, str]] = set()
    for item in parcels:
        needed = offered | {(item.sop_class, item.syntax)}
        if len(needed) > CONTEXTS_MAX:
            statuses += _send_batch(batch, offered, host, port, called, calling, answered)
            batch, needed = [], {(item.sop_class, item.syntax)}
        batch.append(item)
        offered = needed
    if batch:
        statuses += _send_batch(batch, offered, host, port, called, calling, answered)
    return statuses


def _send_batch(
    batch: list[Parcel],
    offered: set[tuple[str, str]],
    host: str,
    port: int,
    called: str,
    calling: str,
    answered: Callable[[int], None],
) -> list[int]:
    entity = AE(ae_title=calling)
    entity.acse_timeout, entity.dimse_timeout, entity.network_timeout = 120, 120, 120
    contexts = [build_context(sop_class, syntax) for sop_class, syntax in sorted(offered)]
    association = entity.associate(host, port, contexts=contexts, ae_title=called)
    assert association.is_established, f"{called} refused the association"
    try:
        accepted = {
            (str(c.abstract_syntax), str(c.transfer_syntax[0])): cast(int, c.context_id)
            for c in association.accepted_contexts
        }
        with _answers_for_us(association):
            statuses = []
            for number, item in enumerate(batch, 1):
                statuses.append(_send_one(association, accepted, item, number))
                answered(statuses[-1])
            return statuses
    finally:
        if association.is_established:
            association.release()


@contextmanager
def _answers_for_us(association: Association) -> Iterator[None]:
    """The association's own thread pauses, for it would take the peer's answers for requests."""
    association._reactor_checkpoint.clear()
    while not association._is_paused:
        time.sleep(0.0001)
    try:
        yield
    finally:
        association._reactor_checkpoint.set()


def _send_one(
    association: Association, accepted: Mapping[tuple[str, str], int], item: Parcel, number: int
) -> int:
    context = accepted.get((item.sop_class, item.syntax))
    if context is None:
        return CONTEXT_REFUSED
    request = C_STORE()
    request.MessageID = number % 65535 + 1
    request.AffectedSOPClassUID = item.sop_class
    request.AffectedSOPInstanceUID = item.sop_instance
    request.Priority = item.priority
    request.DataSet = io.BytesIO(item.dataset)
    association.dimse.send_msg(request, context)
    _, answer = association.dimse.get_msg(block=True)
    assert answer is not None and answer.Status is not None, "the peer did not answer the C-STORE"
    return int(answer.Status)
