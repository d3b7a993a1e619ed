"""C-FIND as SCP (PS3.4 C.4.1): the archive is asked, and its matches are passed on as they come."""

from __future__ import annotations

import time
from collections.abc import Mapping

from gateway.dicom.syntaxes import syntax_of
from gateway.dimse import statuses
from gateway.dimse.association import AssociationState
from gateway.dimse.peer_request import PeerRequest
from gateway.dimse.query_scu import QueryResponse
from gateway.errors import GatewayError, PeerFailed
from gateway.observe import Log, Metrics, where
from gateway.retrieve.archive import Archive, accepted_query, query_contexts
from gateway.retrieve.identifier import Identifier, QueryLevel, WrongIdentifier, match_for


class Queries:
    """`on_find` runs in association threads, several at a time."""

    def __init__(self, archive: Archive, *, metrics: Metrics, log: Log) -> None:
        self._archive = archive
        self._metrics, self._log = metrics, log

    def on_find(self, request: PeerRequest, state: AssociationState) -> None:
        """Answer one C-FIND."""
        started, relay = time.monotonic(), Relay(self._archive, request, state.extended)
        problem = hint = ""
        try:
            relay.run()
        except GatewayError as error:
            problem, hint = str(error), error.hint
            relay.status = status_of(error)
        # A defect of ours is reported; the viewer must not wait for ever.
        except Exception as error:  # noqa: BLE001
            problem = where(error)
            relay.status = statuses.CANNOT_UNDERSTAND
        try:
            request.respond(relay.status, comment=relay.comment)
        except PeerFailed as error:
            problem = problem or str(error)
        outcome = outcome_of(relay.status)
        self._metrics.count("sealgate_queries_total", level=str(relay.level or ""), outcome=outcome)
        self._metrics.time("sealgate_query_seconds", time.monotonic() - started)
        report = self._log.warning if problem else self._log.info
        report(
            "query",
            node=state.node.name if state.node else "",
            calling=state.calling,
            query_level=str(relay.level or ""),
            matches=relay.matches,
            status=f"{relay.status:04X}",
            **({"problem": problem, "hint": hint} if problem else {}),
        )


class Relay:
    """One query.

    level: None as long as it is not known.
    matches: how many were passed on.
    status, comment: of the last response.
    """

    def __init__(self, archive: Archive, request: PeerRequest, extended: Mapping[str, bytes]) -> None:
        """extended: what was accepted in extended negotiation; proposed to the archive again."""
        self._archive, self._request, self._extended = archive, request, extended
        self.level: QueryLevel | None = None
        self.matches = 0
        self.status = statuses.SUCCESS
        self.comment = ""

    def run(self) -> None:
        """Pass on all matches; `status` is that of the last response. Raises GatewayError."""
        request = self._request
        settings, _ = self._archive.settings()
        sop_class = checked_class(request)
        question = Identifier.read(request.identifier, syntax_of(request.syntax).encoding)
        self.level = question.level(sop_class)
        deadline = time.monotonic() + settings.query_timeout_s
        extended = {key: value for key, value in self._extended.items() if key == sop_class}
        with self._archive.associated(query_contexts(sop_class), extended=extended) as scu:
            context, encoding = accepted_query(scu, sop_class, like=request.syntax)
            responses = scu.find(
                context,
                question.written(encoding),
                deadline=deadline,
                is_cancelled=lambda: request.is_cancelled or self.matches > settings.matches,
                priority=request.priority,
            )
            for response in responses:
                if not statuses.is_pending(response.status):
                    self.status = _last_status(response.status)
                elif self.matches >= settings.matches:
                    # One more than allowed: the archive is told to stop.
                    self.matches = settings.matches + 1
                elif not request.is_cancelled:
                    self._pass_on(response, ae_title=settings.ae_title)
        if self.matches > settings.matches:
            self.matches = settings.matches
            self.status = statuses.OUT_OF_RESOURCES
            self.comment = f"more than {settings.matches} matches: ask for less"

    def _pass_on(self, response: QueryResponse, *, ae_title: str) -> None:
        """Raises PeerFailed, WrongIdentifier."""
        source, target = syntax_of(response.syntax).encoding, syntax_of(self._request.syntax).encoding
        match = match_for(response.identifier, source, target, ae_title=ae_title)
        self._request.respond(response.status, identifier=match)
        self.matches += 1


def checked_class(request: PeerRequest) -> str:
    """The SOP class of the request. Raises WrongIdentifier when it is not that of its context."""
    if request.affected_class != request.sop_class:
        raise WrongIdentifier("the request names another SOP class than its presentation context")
    return request.sop_class


def status_of(error: GatewayError) -> int:
    """The status of a query that failed (PS3.4 C.4.1.1.4)."""
    if isinstance(error, WrongIdentifier):
        return statuses.IDENTIFIER_MISMATCH
    return statuses.OUT_OF_RESOURCES if error.retry else statuses.CANNOT_UNDERSTAND


def outcome_of(status: int) -> str:
    """One word for metrics."""
    return {
        statuses.SUCCESS: "success",
        statuses.CANCELLED: "cancelled",
        statuses.SUB_OPERATIONS_WARNING: "warning",
    }.get(status, "failed")


def _last_status(status: int) -> int:
    """The archive's, where PS3.4 C.4.1.1.4 knows it."""
    known = status in (
        statuses.SUCCESS,
        statuses.CANCELLED,
        statuses.OUT_OF_RESOURCES,
        statuses.IDENTIFIER_MISMATCH,
        statuses.SOP_CLASS_NOT_SUPPORTED,
        statuses.NOT_AUTHORISED,
    )
    return status if known or 0xC000 <= status <= 0xCFFF else statuses.CANNOT_UNDERSTAND
