"""Which instances a request to retrieve asks for: the archive is queried, level by level (PS3.4 C.4.2.2.1)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from gateway.dicom.elements import Encoding
from gateway.dicom.syntaxes import syntax_of
from gateway.dicom.uids import STUDY_ROOT_FIND
from gateway.dimse import statuses
from gateway.dimse.negotiation import plausible
from gateway.dimse.query_scu import QueryScu
from gateway.errors import PeerFailed, ResourceError
from gateway.retrieve.archive import Archive, accepted_query, query_contexts
from gateway.retrieve.identifier import (
    CHARACTER_SET,
    INSTANCE_NUMBER,
    PATIENT_ID,
    SERIES,
    SERIES_NUMBER,
    SOP_CLASS,
    SOP_INSTANCE,
    STUDY,
    Identifier,
    QueryLevel,
    WrongIdentifier,
    written,
)
from gateway.retrieve.study_elements import STUDY_HEADER

# UIDs in one question: the longest fill half of an element with a short length.
UIDS_AT_ONCE = 500


class QueryFailed(PeerFailed):
    """The archive answered a question of ours with a failure; the association is as good as before."""


class TooManyInstances(ResourceError):
    """More instances than one request may have."""

    code = "too-many-instances"
    retry = False
    hint = "Ask for less, or raise retrieve.instances."


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """One instance that was asked for, as the archive names it. Numbers are texts, and may be empty."""

    study: str
    series: str
    sop_class: str
    sop_instance: str
    series_number: str = ""
    instance_number: str = ""


@dataclass(frozen=True)
class Series:
    study: str
    uid: str
    number: str


class Planner:
    """For one request. It keeps to the hierarchy of PS3.4 C.6.2 wherever the request names the keys above."""

    def __init__(
        self, archive: Archive, *, limit: int, deadline: float, is_cancelled: Callable[[], bool]
    ) -> None:
        """limit: of instances.

        deadline: by time.monotonic().
        """
        self._archive, self._limit = archive, limit
        self._deadline, self._is_cancelled = deadline, is_cancelled

    def plan(self, level: QueryLevel, identifier: Identifier) -> list[Wanted]:
        """Each instance once: series after series, in the order of instance numbers; fewer when cancelled.

        Raises WrongIdentifier when the unique key of the level is missing, TooManyInstances, PeerError.
        """
        _check(level, identifier)
        with self._archive.associated(query_contexts(STUDY_ROOT_FIND)) as scu:
            wanted: dict[str, Wanted] = {}
            for instance in self._instances(scu, level, identifier):
                wanted.setdefault(instance.sop_instance, instance)
                if len(wanted) > self._limit:
                    raise TooManyInstances(f"more than {self._limit} instances were asked for")
        return list(wanted.values())

    def _instances(self, scu: QueryScu, level: QueryLevel, identifier: Identifier) -> Iterator[Wanted]:
        above = {
            tag: identifier.value(tag) if len(identifier.uids(tag)) == 1 else b"" for tag in (STUDY, SERIES)
        }
        if level is QueryLevel.IMAGE:
            yield from self._images(scu, above, identifier.uids(SOP_INSTANCE))
            return
        if level is QueryLevel.SERIES:
            series = self._series(scu, above[STUDY], identifier.uids(SERIES))
        else:
            series = [
                each
                for study in self._studies(scu, level, identifier)
                for each in self._series(scu, study, [])
            ]
        for each in series:
            keys = {STUDY: each.study.encode(), SERIES: each.uid.encode()}
            yield from sorted(self._images(scu, keys, [], number=each.number), key=_place)

    def _studies(self, scu: QueryScu, level: QueryLevel, identifier: Identifier) -> list[bytes]:
        if level is QueryLevel.STUDY:
            return [uid.encode() for uid in identifier.uids(STUDY)]
        keys = {PATIENT_ID: identifier.value(PATIENT_ID), STUDY: b""}
        if CHARACTER_SET in identifier.elements:
            keys[CHARACTER_SET] = identifier.value(CHARACTER_SET)
        matches = self._matches(scu, QueryLevel.STUDY, keys)
        return [match.text(STUDY).encode() for match in matches if plausible(match.text(STUDY))]

    def _series(self, scu: QueryScu, study: bytes, uids: list[str]) -> list[Series]:
        found = []
        for part in _parts(uids):
            keys = {STUDY: study, SERIES: part, SERIES_NUMBER: b""}
            for match in self._matches(scu, QueryLevel.SERIES, keys):
                known, uid = _asked(match, STUDY, study), _asked(match, SERIES, part)
                if known and uid:
                    found.append(Series(known, uid, match.text(SERIES_NUMBER)))
        return found

    def _images(
        self, scu: QueryScu, above: dict[int, bytes], uids: list[str], *, number: str = ""
    ) -> Iterator[Wanted]:
        for part in _parts(uids):
            for match in self._described(scu, {**above, SOP_INSTANCE: part}):
                study, series = (_asked(match, tag, above[tag]) for tag in (STUDY, SERIES))
                instance = _asked(match, SOP_INSTANCE, part)
                if study and series and instance:
                    yield Wanted(
                        study=study,
                        series=series,
                        sop_class=match.text(SOP_CLASS),
                        sop_instance=instance,
                        series_number=number,
                        instance_number=match.text(INSTANCE_NUMBER),
                    )

    def _described(self, scu: QueryScu, keys: dict[int, bytes]) -> list[Identifier]:
        """Images with class and number; without them where the archive fails over these. Raises PeerError.

        An archive may read each object to answer, and fail over one that was damaged: the others are wanted.
        """
        try:
            return list(self._matches(scu, QueryLevel.IMAGE, {**keys, SOP_CLASS: b"", INSTANCE_NUMBER: b""}))
        except QueryFailed:
            return list(self._matches(scu, QueryLevel.IMAGE, keys))

    def _matches(self, scu: QueryScu, level: QueryLevel, keys: dict[int, bytes]) -> Iterator[Identifier]:
        """Raises PeerError, TooManyInstances."""
        found = matches(scu, level, keys, deadline=self._deadline, is_cancelled=self._is_cancelled)
        for number, match in enumerate(found):
            if number >= self._limit:
                raise TooManyInstances(f"more than {self._limit} matches at the level {level}")
            yield match


def matches(
    scu: QueryScu,
    level: QueryLevel,
    keys: dict[int, bytes],
    *,
    deadline: float,
    is_cancelled: Callable[[], bool],
) -> Iterator[Identifier]:
    """What the archive answers to a question of ours; nothing more once it is cancelled. Raises PeerError."""
    context, encoding = accepted_query(scu, STUDY_ROOT_FIND)
    question = written(level, keys, encoding)
    for response in scu.find(context, question, deadline=deadline, is_cancelled=is_cancelled):
        if statuses.is_pending(response.status):
            yield Identifier.read(response.identifier, _encoding(response.syntax))
        elif response.status not in (statuses.SUCCESS, statuses.CANCELLED):
            raise QueryFailed(f"the archive answered a query with {response.status:04X}")


def study_header(
    archive: Archive, study: str, *, deadline: float, is_cancelled: Callable[[], bool]
) -> dict[int, bytes]:
    """What the archive says of a study and its patient: tag of STUDY_HEADER -> value. Raises PeerError."""
    keys = {**dict.fromkeys(STUDY_HEADER, b""), STUDY: study.encode()}
    # An empty character set would say that there is none.
    del keys[CHARACTER_SET]
    with archive.associated(query_contexts(STUDY_ROOT_FIND)) as scu:
        answers = list(matches(scu, QueryLevel.STUDY, keys, deadline=deadline, is_cancelled=is_cancelled))
    if not answers:
        return {}
    return {tag: answers[0].value(tag).rstrip(b" \0") for tag in STUDY_HEADER}


def _asked(match: Identifier, tag: int, asked: bytes) -> str:
    """The UID of a match; empty for none, and for one that was not asked for.

    asked: the UIDs that were asked for; empty for any. One that the archive leaves out is taken from there.
    """
    uids = [uid.strip(" \0") for uid in asked.decode("latin-1").split("\\") if uid.strip(" \0")]
    uid = match.text(tag) or (uids[0] if len(uids) == 1 else "")
    return uid if plausible(uid) and (not uids or uid in uids) else ""


def _encoding(syntax: str) -> Encoding:
    return syntax_of(syntax).encoding


def _check(level: QueryLevel, identifier: Identifier) -> None:
    """Unique keys are single values or lists of UIDs (PS3.4 C.4.2.2.1): no wildcards. Raises WrongIdentifier."""
    if level is QueryLevel.PATIENT:
        patient = identifier.text(PATIENT_ID)
        if not patient or any(character in patient for character in "*?\\"):
            raise WrongIdentifier("one Patient ID is needed at the level PATIENT")
        return
    tag = {QueryLevel.STUDY: STUDY, QueryLevel.SERIES: SERIES, QueryLevel.IMAGE: SOP_INSTANCE}[level]
    if not identifier.uids(tag):
        raise WrongIdentifier(f"the unique key of the level {level} is missing")
    for key in (STUDY, SERIES, SOP_INSTANCE):
        if not all(map(plausible, identifier.uids(key))):
            raise WrongIdentifier("a unique key is no UID")


def _parts(uids: list[str]) -> Iterator[bytes]:
    """Lists of UIDs, each short enough for one question; one empty value, which asks for all, for none."""
    for start in range(0, max(len(uids), 1), UIDS_AT_ONCE):
        yield "\\".join(uids[start : start + UIDS_AT_ONCE]).encode()


def _place(instance: Wanted) -> tuple[int, str]:
    number = instance.instance_number
    return (int(number) if number.isascii() and number.isdigit() else 0, instance.sop_instance)
