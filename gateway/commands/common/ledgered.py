"""What the ledger adds to verifying: newer sealed versions, seals that were removed, missing and foreign instances."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from gateway.commands.common.batch import FileLimits, FileResult
from gateway.commands.common.exits import Exit
from gateway.commands.common.files import InputFile, opened_input
from gateway.commands.common.printing import Printer
from gateway.config import Config
from gateway.dicom.part10 import read
from gateway.dicom.tags import SERIES_INSTANCE_UID, STUDY_INSTANCE_UID
from gateway.errors import InputError, ResourceError, UsageError
from gateway.keys.trust import moment
from gateway.ledger.entry import NO_PSEUDONYM
from gateway.ledger.folder import FOLDER, LedgerFolder
from gateway.ledger.looking import Logged, find
from gateway.observe.pseudonyms import Pseudonyms
from gateway.runtime.limits import limited_time
from gateway.work.ledger_entries import LedgerNames, version_of

Whole = Literal["series", "study"]
MISSING_SHOWN = 4


@dataclass(frozen=True)
class _Seen:
    """A file before it is verified.

    version: by which the ledger tells its sealed version; None without a seal.
    study, series: UIDs, for people.
    """

    names: LedgerNames
    version: bytes | None
    study: str
    series: str


class LedgerFindings:
    """Of the files of one command."""

    def __init__(
        self,
        config: Config,
        items: Sequence[InputFile],
        *,
        whole: Whole,
        memory_bytes: int,
        limits: FileLimits,
    ) -> None:
        """Look at all files, then once through the ledger.

        whole: what has to be complete: each series that a file belongs to, or each study.
        memory_bytes: that looking at one file may take.
        Raises UsageError when there is no ledger, or no key of pseudonyms.
        Raises LedgerBroken when the ledger is not what was signed, ResourceError when the disk fails.
        """
        ledger = LedgerFolder(config.gateway.data_dir / FOLDER)
        if not ledger.exists:
            raise UsageError(
                f"there is no ledger in {config.gateway.data_dir}",
                hint="Look at gateway.data_dir and ledger.enabled; it begins with the first object that is sealed.",
            )
        pseudonyms = Pseudonyms.existing(config.gateway.data_dir)
        self._whole = whole
        self._seen = dict(_look_at(items, pseudonyms, memory_bytes, limits))
        self._of_instance: dict[bytes, list[Logged]] = defaultdict(list)
        names = [seen.names for seen in self._seen.values()]
        for logged in find(
            ledger,
            instances={name.instance for name in names} - {NO_PSEUDONYM},
            studies={name.study for name in names} - {NO_PSEUDONYM},
            series={name.series for name in names} - {NO_PSEUDONYM},
        ):
            self._of_instance[logged.entry.instance].append(logged)

    def added(self, item: InputFile, result: FileResult) -> FileResult:
        """The result for a file, with what the ledger says. The verdict stays."""
        seen = self._seen.get(item.source)
        if seen is None:
            return replace(result, line=result.line | {"ledger": None})
        finding, words = self._finding(seen)
        if not words:
            return replace(result, line=result.line | {"ledger": finding})
        return replace(
            result,
            line=result.line | {"ledger": finding},
            text=f"{result.text}  ({words})",
            exit_code=Exit.FINDINGS if result.exit_code is Exit.OK else result.exit_code,
        )

    def _finding(self, seen: _Seen) -> tuple[dict[str, Any], str]:
        """For JSON, and for people; no words where all is well or nothing is known."""
        versions = self._of_instance.get(seen.names.instance, [])
        if not versions:
            return {"state": "unknown"}, ""
        last = versions[-1]
        newest = {"index": last.index, "sealed_at": moment(last.entry.sealed_at)}
        if seen.version is None:
            words = f"the ledger has it as sealed on {newest['sealed_at']}: its seal was removed"
            return {"state": "seal-removed", "newest": newest}, words
        if seen.version == last.entry.statement:
            return {"state": "newest", "newest": newest}, ""
        if any(version.entry.statement == seen.version for version in versions):
            words = f"superseded: a newer version was sealed on {newest['sealed_at']}"
            return {"state": "superseded", "newest": newest}, words
        return {"state": "not-logged", "newest": newest}, "not a version that the ledger has of it"

    def tell_whether_complete(self, given: Path, printer: Printer) -> Exit:
        """Print for each study what is missing and what is foreign. FINDINGS when anything is."""
        here = {seen.names.instance for seen in self._seen.values()}
        ledgered = {versions[-1].entry.series for versions in self._of_instance.values()}
        code = Exit.OK
        for study in sorted({seen.study for seen in self._seen.values()}):
            files = {path: seen for path, seen in self._seen.items() if seen.study == study}
            series = {seen.names.series: seen.series for seen in files.values() if seen.series}
            studies = {seen.names.study for seen in files.values()} - {NO_PSEUDONYM}
            missing = [
                versions[-1]
                for instance, versions in sorted(
                    self._of_instance.items(), key=lambda found: found[1][-1].index
                )
                if instance not in here
                and (
                    versions[-1].entry.series in series
                    or (self._whole == "study" and versions[-1].entry.study in studies)
                )
            ]
            foreign = [
                str(path)
                for path, seen in files.items()
                if seen.names.series in ledgered & series.keys()
                and seen.names.instance not in self._of_instance
            ]
            if missing or foreign:
                code = Exit.FINDINGS
            self._tell(given, study, missing, foreign, series, printer)
        return code

    def _tell(
        self,
        given: Path,
        study: str,
        missing: list[Logged],
        foreign: list[str],
        series: dict[bytes, str],
        printer: Printer,
    ) -> None:
        verdict = "incomplete" if missing or foreign else "complete"
        line = {
            "path": str(given),
            "study_instance_uid": study,
            "verdict": verdict,
            "missing": [
                {
                    "instance": logged.entry.instance.hex(),
                    "series_instance_uid": series.get(logged.entry.series),
                    "series": logged.entry.series.hex(),
                    "index": logged.index,
                    "sealed_at": moment(logged.entry.sealed_at),
                }
                for logged in missing
            ],
            "foreign": foreign,
        }
        words = []
        if missing:
            shown = ", ".join(logged.entry.instance.hex() for logged in missing[:MISSING_SHOWN])
            words.append(f"missing {len(missing)}: {shown}{', ...' if len(missing) > MISSING_SHOWN else ''}")
        if foreign:
            shown = ", ".join(foreign[:MISSING_SHOWN])
            words.append(f"foreign {len(foreign)}: {shown}{', ...' if len(foreign) > MISSING_SHOWN else ''}")
        printer.outcome(line, verdict, f"study {study}" + (f"  ({'; '.join(words)})" if words else ""))


def _look_at(
    items: Sequence[InputFile], pseudonyms: Pseudonyms, memory_bytes: int, limits: FileLimits
) -> Iterator[tuple[Path, _Seen]]:
    """What can't be read is left out: verifying tells why."""
    for item in items:
        try:
            with limited_time(limits.timeout_s), opened_input(item, memory_bytes) as data:
                file = read(data)
                names = LedgerNames.of(file, pseudonyms)
                seen = _Seen(
                    names, version_of(file), file.text(STUDY_INSTANCE_UID), file.text(SERIES_INSTANCE_UID)
                )
        except (InputError, ResourceError, OSError, RecursionError, MemoryError):
            continue
        yield item.source, seen
