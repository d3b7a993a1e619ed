"""Every operation on every object, and what verifying says of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from gateway.errors import GatewayError
from gateway.seal.findings import GOOD
from gateway.seal.verifying import Report
from tests.campaigns.harmless.operation import Declined, Operation
from tests.campaigns.harmless.sources import Sample
from tests.support.desk import Desk


@dataclass(frozen=True)
class Alarm:
    """An object that is not good after an operation."""

    operation: str
    tool: str
    sample: str
    verdict: str
    why: str
    loss: bool = False


@dataclass
class Tally:
    """Of one operation. good, findings, alarms: objects. declined: reason -> objects."""

    group: str
    name: str
    tool: str
    good: int = 0
    declined: Counter[str] = field(default_factory=Counter)
    alarms: list[Alarm] = field(default_factory=list)


def why(report: Report) -> str:
    """The checks that failed, and the elements that differ."""
    failed = [f"{check.n} {check.detail}" for check in report.checks if not check.ok]
    return "; ".join(failed)


def try_all(desk: Desk, samples: Iterable[Sample], operations: Iterable[Operation]) -> list[Tally]:
    """What each operation did. The record is opened of every object, because check 8 compares it with the header."""
    tallies: dict[tuple[str, str, str], Tally] = {}
    waiting = list(operations)
    for sample in samples:
        for operation in waiting:
            key = (operation.group, operation.name, operation.tool)
            tally = tallies.setdefault(key, Tally(*key))
            try:
                changed = operation.change(sample.sealed)
            except Declined as refusal:
                tally.declined[str(refusal)[:60]] += 1
                continue
            except GatewayError as error:
                tally.declined[f"{type(error).__name__}: {str(error)[:60]}"] += 1
                continue
            report = desk.verify(changed)
            if report.verdict in GOOD:
                tally.good += 1
                continue
            tally.alarms.append(
                Alarm(
                    operation.name,
                    operation.tool,
                    sample.label,
                    report.verdict.value,
                    why(report),
                    sample.loss,
                )
            )
    return list(tallies.values())
