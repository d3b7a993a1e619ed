"""Opening records and giving back originals for HTTP callers: nothing is handed out that is not in the audit log."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from gateway.errors import GatewayError, UsageError
from gateway.observe.access_log import AccessLog
from gateway.observe.pseudonyms import Pseudonyms
from gateway.seal.amending import Correcting
from gateway.seal.findings import Extraction
from gateway.spool.quarantine import Quarantine
from gateway.web.admission import Visit
from gateway.web.errors import NotConfigured, NotFound, TooLarge
from gateway.work.on_demand import Amended, Restored
from gateway.work.tasks import OpenedRecord

# The keyword of the element in a hidden record that tells whose record it is.
SOP_INSTANCE_UID = "SOPInstanceUID"
OpenedT = TypeVar("OpenedT", OpenedRecord, Restored)


class Amender(Protocol):
    """A worker process that holds the signer's key."""

    def amend(self, data: bytes, correcting: Correcting) -> Amended:
        """Raises GatewayError."""


class Opener(Protocol):
    """A worker process that holds the recipient's key."""

    def extract(self, data: bytes) -> OpenedRecord:
        """Raises GatewayError."""

    def restore(self, data: bytes, *, unverified: bool) -> Restored:
        """Raises GatewayError."""


@dataclass(frozen=True)
class Records:
    """Its calls block; they belong into threads.

    opener: returns None while no recipient key is configured.
    amender: returns None while no signer key is configured.
    """

    opener: Callable[[], Opener | None]
    amender: Callable[[], Amender | None]
    pseudonyms: Pseudonyms
    log: AccessLog
    quarantine: Quarantine

    def extract(self, visit: Visit, data: bytes) -> Extraction:
        """Raises GatewayError; AuditFailed is one of them."""
        opened = self._audited(visit, lambda opener: opener.extract(data))
        record = opened.extraction.record or {}
        self._allowed(visit, opened.extraction.reason, opened.sop_instance_uid, record.get(SOP_INSTANCE_UID))
        return opened.extraction

    def restore(self, visit: Visit, data: bytes, *, unverified: bool) -> Restored:
        """The original of an object that verifies; on request of one that does not, which the audit log says.

        Raises GatewayError; AuditFailed is one of them.
        """
        restored = self._audited(visit, lambda opener: opener.restore(data, unverified=unverified))
        reason = restored.restoration.reason
        if restored.original is not None and not restored.restoration.verified:
            reason = f"unverified-{restored.restoration.verdict}"
        self._allowed(visit, reason, restored.sop_instance_uid, None)
        return restored

    def amend(self, visit: Visit, data: bytes, correcting: Correcting) -> bytes:
        """The amended object. Raises GatewayError; AuditFailed is one of them."""
        try:
            amender = self.amender()
            if amender is None:
                raise NotConfigured("this gateway has no key that signs")
            done = amender.amend(data, correcting)
        except GatewayError as error:
            self.log.write(visit.access("failed", error.code))
            raise
        self._allowed(visit, ",".join(sorted(correcting.values)), done.sop_instance_uid, None)
        return done.amended

    def quarantined(self, visit: Visit, prefix: str, *, bytes_max: int) -> bytes:
        """The bytes of a quarantined object as they were received.

        prefix: the beginning of its id.
        bytes_max: the largest object that is handed out, bytes.
        Raises NotFound, TooLarge, and other GatewayErrors; AuditFailed is one of them.
        """
        try:
            entry = self.quarantine.find(prefix)
        except UsageError as error:
            raise NotFound(str(error)) from error
        if entry.note.bytes > bytes_max:
            raise TooLarge(f"more than {bytes_max} bytes", hint="Use `sealgate quarantine export`.")
        data = self.quarantine.read(entry)
        self.log.write(
            visit.access(
                "allowed", entry.note.reason, action="quarantine", instance=entry.note.instance or None
            )
        )
        return data

    def _audited(self, visit: Visit, work: Callable[[Opener], OpenedT]) -> OpenedT:
        """The result of `work`. When it fails, the audit log has a line about that first."""
        try:
            opener = self.opener()
            if opener is None:
                raise NotConfigured("this gateway has no key that opens records")
            return work(opener)
        except GatewayError as error:
            self.log.write(visit.access("failed", error.code))
            raise

    def _allowed(self, visit: Visit, reason: str, uid: str, record_uid: str | None) -> None:
        """uid: the SOP Instance UID of the object, "" when nobody knows it. record_uid: that of the record."""
        self.log.write(
            visit.access(
                "allowed",
                reason,
                instance=self.pseudonyms.of(uid) if uid else None,
                record_instance=self.pseudonyms.of(record_uid) if record_uid else None,
            )
        )
