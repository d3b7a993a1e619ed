"""What verifying says of copies compressed with loss, and of lies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from gateway.errors import GatewayError
from gateway.seal.findings import Verdict
from gateway.seal.header.classes import ALTERING
from gateway.seal.verifying import Report
from tests.campaigns.harmless.operation import Declined, Operation
from tests.campaigns.harmless.sources import Sample
from tests.campaigns.harmless.trying import Alarm, why
from tests.support.desk import Desk

# What a compressor writes without any doubt, so that it does not stand in the table.
EXPECTED = frozenset(
    [
        "ImageType",
        "SOPInstanceUID",
        "BitsStored",
        "HighBit",
        "LossyImageCompression",
        "LossyImageCompressionRatio",
        "LossyImageCompressionMethod",
        "PhotometricInterpretation",
        "PixelRepresentation",
        "SmallestImagePixelValue",
        "LargestImagePixelValue",
    ]
)


@dataclass
class Loss:
    """Of one operation. verdicts: of the copies. computed: elements for which copies are altered. recovered: profile ->
    copies in which the hidden identity was still found.
    """

    name: str
    tool: str
    tried: Counter[str] = field(default_factory=Counter)
    verdicts: Counter[str] = field(default_factory=Counter)
    computed: Counter[str] = field(default_factory=Counter)
    recovered: Counter[str] = field(default_factory=Counter)
    declined: int = 0
    alarms: list[Alarm] = field(default_factory=list)


def try_loss(
    desk: Desk, samples: Iterable[Sample], operations: Iterable[Operation], *, good: frozenset[Verdict]
) -> list[Loss]:
    """What each operation makes of objects of level full.

    good: verdicts that are right; others, and lossy copies altered in something else than display and quantities, are
        alarms.
    """
    losses: dict[str, Loss] = {}
    waiting = list(operations)
    for sample in samples:
        for operation in waiting if sample.level == "full" else ():
            loss = losses.setdefault(operation.name + operation.tool, Loss(operation.name, operation.tool))
            try:
                report = desk.verify(operation.change(sample.sealed))
            except (Declined, GatewayError):
                loss.declined += 1
                continue
            _count(loss, sample, report)
            if report.verdict not in good or (report.verdict is Verdict.ALTERED and not report.lossy):
                loss.alarms.append(
                    Alarm(operation.name, operation.tool, sample.label, report.verdict.value, why(report))
                )
    return list(losses.values())


def _count(loss: Loss, sample: Sample, report: Report) -> None:
    loss.tried[sample.profile] += 1
    loss.verdicts[report.verdict.value] += 1
    loss.recovered[sample.profile] += any(check.n == 7 and check.ok for check in report.checks)
    if report.verdict is Verdict.ALTERED:
        altering = {header_class.value for header_class in ALTERING}
        keywords = {d["keyword"] for d in report.header_differences if d["class"] in altering}
        loss.computed.update(sorted(keywords - EXPECTED))
