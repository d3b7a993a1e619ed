"""The counts of one C-GET or C-MOVE, and the status that follows from them (PS3.4 C.4.2.1.5, C.4.3.1.4)."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.dimse import statuses
from gateway.dimse.peer_request import SubOperations


@dataclass
class Tally:
    """total: sub-operations that are known so far, those of reports left out until they are sent."""

    total: int
    completed: int = 0
    warning: int = 0
    failed_instances: list[str] = field(default_factory=list)

    @property
    def failed(self) -> int:
        return len(self.failed_instances)

    @property
    def done(self) -> int:
        return self.completed + self.warning + self.failed

    def counts(self, *, last: bool) -> SubOperations:
        """last: for a last response, which has no number of remaining ones unless it was cancelled."""
        return SubOperations(
            remaining=None if last else max(self.total - self.done, 0),
            completed=self.completed,
            failed=self.failed,
            warning=self.warning,
        )

    def status(self) -> int:
        """Of the last response, after everything was done."""
        return statuses.SUB_OPERATIONS_WARNING if self.failed or self.warning else statuses.SUCCESS
