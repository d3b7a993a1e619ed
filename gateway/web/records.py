"""Opening records and giving back originals for HTTP callers: nothing is handed out that is not in the audit log."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from gateway.errors import GatewayError, UsageError
from gateway.observe.access_log import AccessLog
from gateway.observe.pseudonyms import Pseudonyms
from gateway.spool.quarantine import Quarantine
from gateway.web.admission import Visit
from gateway.web.errors import NotConfigured, NotFound, TooLarge

SOP_INSTANCE_UID = "SOPInstanceUID"
Result = TypeVar("Result")


class Opener(Protocol):
    """A worker process that holds the recipient's key."""

    def extract(self, data: bytes) -> dict[str, Any]:
        """`sop_instance_uid`, `reason` and the JSON of `sealgate extract` without `path`. Raises GatewayError."""

    def restore(self, data: bytes) -> tuple[bytes | None, dict[str, Any]]:
        """The original or None; `sop_instance_uid`, `original_digest`, `reason`. Raises GatewayError."""


@dataclass(frozen=True)
class Records:
    """opener: None while no recipient key is configured. Its calls block; they belong into threads."""

    opener: Callable[[], Opener | None]
    pseudonyms: Pseudonyms
    log: AccessLog
    quarantine: Quarantine

    def extract(self, visit: Visit, data: bytes) -> dict[str, Any]:
        """The JSON of `sealgate extract` without `path`, plus `reason`. Raises GatewayError, of it AuditFailed."""
        found = self._audited(visit, lambda opener: opener.extract(data))
        uid = found.pop("sop_instance_uid")
        record = found["record"] or {}
        self._allowed(visit, found["reason"], uid, record.get(SOP_INSTANCE_UID))
        return found

    def restore(self, visit: Visit, data: bytes) -> tuple[bytes | None, dict[str, Any]]:
        """The original, or None and why (`reason`). Raises GatewayError, of it AuditFailed."""
        original, report = self._audited(visit, lambda opener: opener.restore(data))
        self._allowed(visit, report["reason"], report.pop("sop_instance_uid"), None)
        return original, report

    def quarantined(self, visit: Visit, prefix: str, *, bytes_max: int) -> bytes:
        """The bytes of a quarantined object as received; prefix: of its id. Raises GatewayError."""
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

    def _audited(self, visit: Visit, work: Callable[[Opener], Result]) -> Result:
        try:
            opener = self.opener()
            if opener is None:
                raise NotConfigured("this gateway has no key that opens records")
            return work(opener)
        except GatewayError as error:
            self.log.write(visit.access("failed", error.code))
            raise

    def _allowed(self, visit: Visit, reason: str, uid: str, record_uid: str | None) -> None:
        self.log.write(
            visit.access(
                "allowed",
                reason,
                instance=self.pseudonyms.of(uid) if uid else None,
                record_instance=self.pseudonyms.of(record_uid) if record_uid else None,
            )
        )
