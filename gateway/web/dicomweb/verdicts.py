"""What is said of objects beside them: a header with the worst verdict, and findings."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from gateway.errors import GatewayError
from gateway.retrieve.plan import Wanted
from gateway.retrieve.verified import VerifiedObject
from gateway.work.presenting import VERDICT_GROUP, unpacked
from gateway.work.words import words_of

HEADER = "Sealgate-Verdict"
# Of what did not come, or could not be verified; its reason says more.
UNAVAILABLE = "unavailable"
# The worst first.
ORDER = (
    "tampered",
    "misidentified",
    "unknown-signer",
    "unreadable",
    UNAVAILABLE,
    "altered",
    "stripped",
    "lossy",
    "unsealed",
    "amended",
    "transcoded",
    "intact",
)

Outcome = VerifiedObject | GatewayError


def verdict_of(outcome: Outcome) -> str:
    return UNAVAILABLE if isinstance(outcome, GatewayError) else outcome.returned.verdict


def counts(outcomes: Sequence[Outcome]) -> dict[str, int]:
    """Verdict -> how many, the worst first."""
    found = Counter(map(verdict_of, outcomes))
    return {verdict: found[verdict] for verdict in sorted(found, key=_rank)}


def header(outcomes: Sequence[Outcome]) -> dict[str, str]:
    """`tampered; tampered=1; intact=299`; for one object only its verdict."""
    found = counts(outcomes)
    if not found:
        return {}
    worst = next(iter(found))
    if len(outcomes) == 1:
        return {HEADER: worst}
    return {HEADER: "; ".join([worst, *(f"{verdict}={count}" for verdict, count in found.items())])}


def metadata(wanted: Wanted, outcome: Outcome) -> bytes:
    """The metadata of one instance as JSON; of one that did not come, its UIDs and why."""
    if not isinstance(outcome, GatewayError):
        return unpacked(outcome.presentation.metadata)
    model: dict[str, dict[str, Any]] = {
        "00080016": {"vr": "UI", "Value": [wanted.sop_class]} if wanted.sop_class else {"vr": "UI"},
        "00080018": {"vr": "UI", "Value": [wanted.sop_instance]},
        "0020000D": {"vr": "UI", "Value": [wanted.study]},
        "0020000E": {"vr": "UI", "Value": [wanted.series]},
        f"{VERDICT_GROUP}0010": {"vr": "LO", "Value": ["SEALGATE"]},
        f"{VERDICT_GROUP}1001": {"vr": "LO", "Value": [UNAVAILABLE]},
        f"{VERDICT_GROUP}1002": {"vr": "LT", "Value": [words_of(outcome.code)]},
    }
    return json.dumps(model, separators=(",", ":")).encode()


def findings(pairs: Sequence[tuple[Wanted, Outcome]]) -> dict[str, Any]:
    """The answer of /api/v1/findings: the worst verdict, counts, and each instance, the worst first."""
    found = counts([outcome for _, outcome in pairs])
    return {
        "verdict": next(iter(found), None),
        "counts": found,
        "instances": [_finding(*pair) for pair in sorted(pairs, key=lambda pair: _rank(verdict_of(pair[1])))],
    }


def _finding(wanted: Wanted, outcome: Outcome) -> Mapping[str, Any]:
    place = {
        "study_instance_uid": wanted.study,
        "series_instance_uid": wanted.series,
        "sop_instance_uid": wanted.sop_instance,
        "series_number": wanted.series_number,
        "instance_number": wanted.instance_number,
    }
    if isinstance(outcome, GatewayError):
        return place | {
            "verdict": UNAVAILABLE,
            "treatment": "withhold",
            "reason": outcome.code,
            "words": words_of(outcome.code),
        }
    returned = outcome.returned
    report: dict[str, Any] = json.loads(unpacked(outcome.presentation.report))
    report.pop("sop_instance_uid", None)
    return (
        place
        | report
        | {
            "verdict": returned.verdict,
            "treatment": returned.treatment,
            "reason": returned.reason,
            "restored": returned.restored,
            "words": words_of(returned.reason, tiles=returned.tiles, keywords=returned.keywords),
        }
    )


def _rank(verdict: str) -> int:
    return ORDER.index(verdict) if verdict in ORDER else 0
