"""The counts of one C-GET or C-MOVE, and the status that follows from them (PS3.4 C.4.2.1.5, C.4.3.1.4)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from gateway.dimse import statuses
from gateway.dimse.peer_request import SubOperations


@dataclass
class Tally:
    """total: sub-operations that are known so far, those of reports left out until they are sent.

    open_instances: those that nothing became of yet.
    """

    total: int
    completed: int = 0
    warning: int = 0
    failed_instances: list[str] = field(default_factory=list)
    open_instances: dict[str, None] = field(default_factory=dict)

    @classmethod
    def of(cls, instances: Iterable[str]) -> Tally:
        """All of them open."""
        each = dict.fromkeys(instances)
        return cls(len(each), open_instances=each)

    def fail(self, instance: str) -> None:
        self.open_instances.pop(instance, None)
        self.failed_instances.append(instance)

    def succeed(self, instance: str, *, warning: bool) -> None:
        self.open_instances.pop(instance, None)
        if warning:
            self.warning += 1
        else:
            self.completed += 1

    def fail_rest(self) -> None:
        """What nothing became of has failed, as when the whole request fails."""
        self.failed_instances += self.open_instances
        self.open_instances = {}

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
