"""docs/tampering.md: what was done, what had to be found, and what was."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from tests.campaigns.tampering.change import GOOD, NOT_GOOD, Way
from tests.campaigns.tampering.running import Row

# What format version 1 found, measured before version 2 took its place: name -> [found, of].
VERSION_1 = Path(__file__).with_name("version-1.json")
HEAD = """# Tampering, measured

What people do to sealed objects with the tools that they have, and what `sealgate verify` finds without the
recipient's key. *Generated* by `python -m tests.campaigns.tampering`, which seals one object of each kind, changes it
in every way that applies, and verifies: {kinds} kinds of objects, {changes} kinds of changes, {done} objects changed
and verified.

*Found*: the object does not verify good **and** what was changed is named (element or tiles, where there is something
to name). *As expected*: the verdict is one of those in the column before. *MD5*: whether the checksum that an archive
keeps of its file would tell: not when the change is made through the archive, or the object is stored again, for then
the archive counts it anew. *PS3.15*: whether a signature over the elements that the Creator RSA profile asks for
(PS3.15 C.2) would tell. *Version 1*: what the same run found before format version 2.
"""


def document(rows: Sequence[Row], harmless: Sequence[Row]) -> str:
    """The whole page."""
    kinds = {finding.kind for row in (*rows, *harmless) for finding in row.findings}
    done = sum(len(row.findings) for row in (*rows, *harmless))
    lines = [HEAD.format(kinds=len(kinds), changes=len(rows) + len(harmless), done=done)]
    lines += [*_sum(rows), ""]
    for group in dict.fromkeys(row.change.group for row in rows):
        lines += [
            f"## {group.capitalize()}",
            "",
            *_table([row for row in rows if row.change.group == group]),
            "",
        ]
    lines += ["## What must not raise an alarm", "", *_harmless(harmless), ""]
    lines += ["Alarms all the same:", "", *_missed(harmless), ""]
    lines += ["## Not found, and why", "", *_missed(rows), ""]
    return "\n".join(lines)


def version_1() -> dict[str, list[int]]:
    return dict(json.loads(VERSION_1.read_text())) if VERSION_1.exists() else {}


def recorded(rows: Iterable[Row]) -> str:
    """Of each change how often it was found, as version-1.json keeps it."""
    counts = {
        row.change.name: [row.count(lambda f: f.found), len(row.findings)] for row in rows if row.findings
    }
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(counts[name])}" for name in sorted(counts))
    return f"{{\n{lines}\n}}\n"


def _sum(rows: Sequence[Row]) -> Iterator[str]:
    before = version_1()
    yield "| group | changes | found | as expected | MD5 | PS3.15 | version 1 |"
    yield "|---|---|---|---|---|---|---|"
    groups = dict.fromkeys(row.change.group for row in rows)
    for group in [*groups, ""]:
        some = [row for row in rows if row.change.group == group or not group]
        of = sum(len(row.findings) for row in some)
        known = [before[row.change.name] for row in some if row.change.name in before]
        first = f"{sum(count[0] for count in known)} of {sum(count[1] for count in known)}"
        counts = [
            f"{sum(row.count(what) for row in some)} of {of}"
            for what in (
                lambda finding: finding.found,
                lambda finding: finding.expected,
                lambda finding: finding.md5,
                lambda finding: finding.signed,
            )
        ]
        yield f"| {group or '**all**'} | {len(some)} | {' | '.join(counts)} | {first} |"


def _table(rows: Sequence[Row]) -> Iterator[str]:
    before = version_1()
    yield "| change | what a person does | tool | expected | found | as expected | MD5 | PS3.15 | version 1 |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for row in rows:
        of, change = len(row.findings), row.change
        expected = "not good" if change.expected == NOT_GOOD else " or ".join(change.expected)
        names = f": {' or '.join(change.names)}" if change.names else ""
        md5 = f"{row.count(lambda f: f.md5)} of {of}" if change.way is Way.DISK else "no"
        first = "{} of {}".format(*before[change.name]) if change.name in before else ""
        cells = (
            change.name,
            change.person,
            change.tool,
            expected + names,
            f"{row.count(lambda f: f.found)} of {of}",
            f"{row.count(lambda f: f.expected)} of {of}",
            md5,
            f"{row.count(lambda f: f.signed)} of {of}",
            first,
        )
        yield f"| {' | '.join(cells)} |"


def _harmless(rows: Sequence[Row]) -> Iterator[str]:
    yield "| change | what an archive does | tool | verifies good | PS3.15 breaks |"
    yield "|---|---|---|---|---|"
    for row in rows:
        of = len(row.findings)
        good, broken = row.count(lambda f: f.good), row.count(lambda f: f.signed)
        yield (
            f"| {row.change.name} | {row.change.person} | {row.change.tool} | {good} of {of} | {broken} of {of} |"
        )


def _missed(rows: Sequence[Row]) -> Iterator[str]:
    yield "| change | kinds | verdicts |"
    yield "|---|---|---|"
    for row in rows:
        wanted_good = row.change.expected == GOOD and row.change.group == "harmless"
        missed = [
            finding
            for finding in row.findings
            if not (finding.expected if wanted_good else finding.found and finding.expected)
        ]
        if not missed:
            continue
        verdicts = Counter(finding.verdict + ("" if finding.named else ", not named") for finding in missed)
        told = "; ".join(f"{verdict} ({count})" for verdict, count in sorted(verdicts.items()))
        some = ", ".join(finding.kind for finding in missed[:3]) + (", ..." if len(missed) > 3 else "")
        yield f"| {row.change.name} | {some} | {told} |"
