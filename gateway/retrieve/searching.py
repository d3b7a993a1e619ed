"""Questions of HTTP callers, as C-FIND to the archive (PS3.18 10.6 with PS3.4 C.6.2)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from gateway.dicom.elements import EXPLICIT_LE, Encoding, encode
from gateway.dicom.json_model import Model, model_of
from gateway.dicom.syntaxes import syntax_of
from gateway.dicom.uids import STUDY_ROOT_FIND
from gateway.dimse import statuses
from gateway.errors import UnreadableObject
from gateway.retrieve.archive import Archive, accepted_query, query_contexts
from gateway.retrieve.identifier import (
    CHARACTER_SET,
    QUERY_LEVEL,
    QueryLevel,
    WrongIdentifier,
    match_for,
)
from gateway.retrieve.plan import QueryFailed

# PS3.4 C.5.1.1: relational queries, which questions without the UIDs above are.
RELATIONAL = b"\x01"


@dataclass(frozen=True, kw_only=True)
class SearchKeys:
    """keys: tag -> VR and value; empty asks for the value.

    is_relational: the UIDs above the level are not all given.
    """

    level: QueryLevel
    keys: Mapping[int, tuple[bytes, bytes]]
    is_relational: bool

    def written(self, encoding: Encoding) -> bytes:
        entries = {**self.keys, QUERY_LEVEL: (b"CS", self.level.encode())}
        if not all(value.isascii() for _, value in entries.values()):
            entries[CHARACTER_SET] = (b"CS", b"ISO_IR 192")
        return b"".join(encode(tag, *entries[tag], encoding) for tag in sorted(entries))


def search(
    archive: Archive, question: SearchKeys, *, limit: int, is_cancelled: Callable[[], bool]
) -> Iterator[Model]:
    """The matches as the archive gives them, at most `limit`; fewer when cancelled.

    Raises PeerError, WrongIdentifier, NoWayBack.
    """
    settings, _ = archive.settings()
    deadline = time.monotonic() + settings.query_timeout_s
    extended = {STUDY_ROOT_FIND: RELATIONAL} if question.is_relational else None
    found = 0
    with archive.associated(query_contexts(STUDY_ROOT_FIND), extended=extended) as scu:
        context, encoding = accepted_query(scu, STUDY_ROOT_FIND)
        responses = scu.find(
            context,
            question.written(encoding),
            deadline=deadline,
            is_cancelled=lambda: found >= limit or is_cancelled(),
        )
        for response in responses:
            if not statuses.is_pending(response.status):
                if response.status not in (statuses.SUCCESS, statuses.CANCELLED):
                    raise QueryFailed(f"the archive answered a query with {response.status:04X}")
            elif found < limit:
                found += 1
                source = syntax_of(response.syntax).encoding
                yield _model(match_for(response.identifier, source, EXPLICIT_LE, ae_title=settings.ae_title))


def _model(match: bytes) -> Model:
    """Raises WrongIdentifier."""
    try:
        model = model_of(match)
    except UnreadableObject as error:
        raise WrongIdentifier(f"an answer of the archive can't be parsed: {error}") from error
    model.pop(f"{QUERY_LEVEL:08X}", None)
    return model
