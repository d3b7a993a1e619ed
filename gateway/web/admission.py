"""Which callers the HTTP interface admits: it checks identity, rate, role, and the number at once, in this order."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from gateway.config.http import HttpSettings, Role
from gateway.observe.access_log import AccessRecord
from gateway.web.errors import Busy, Forbidden, Refused, TooMany, Unauthenticated
from gateway.web.identity import Caller, Callers
from gateway.web.rate import CallerRates

# The roles that give access to records. Denials of them are written to the audit log.
AUDITED: frozenset[Role] = frozenset({"extract", "restore"})
BUSY_RETRY_S = 1


@dataclass(frozen=True)
class Visit:
    """A caller, and the role that the request needs.

    caller: the name of the caller, None when nobody knows it.
    address: where the request came from.
    """

    caller: str | None
    address: str
    role: Role

    def access(
        self, outcome: str, reason: str, *, action: str | None = None, **instances: str | None
    ) -> AccessRecord:
        """A line for the audit log about this visit.

        outcome, reason: as in AccessRecord.
        action: what was done; None: the name of the role.
        instances: `instance` and `record_instance` of AccessRecord.
        """
        return AccessRecord(
            caller=self.caller,
            address=self.address,
            role=self.role,
            action=action or self.role,
            outcome=outcome,
            reason=reason,
            **instances,
        )


class Admission:
    """Decides about each request. For one event loop."""

    def __init__(self, settings: Callable[[], HttpSettings], audit: Callable[[AccessRecord], None]) -> None:
        """settings: returns those in force now.
        audit: writes a line, durable when it returns. Raises AuditFailed.
        """
        self._current = settings
        self._audit = audit
        self._inside = 0
        self._follow(settings())

    def _follow(self, settings: HttpSettings) -> None:
        """Adopt new settings. What was known of the callers is forgotten."""
        self._settings = settings
        self._callers = Callers(settings)
        self._rates = CallerRates(settings.requests_per_minute)

    @asynccontextmanager
    async def admitted(self, request: Request, role: Role) -> AsyncIterator[Visit]:
        """Admit the request for as long as the block runs.

        A denial of access to records is in the audit log before it is answered.
        Raises Refused when the request is not admitted.
        Raises AuditFailed when the denial can't be written down.
        """
        settings = self._current()
        if settings != self._settings:
            self._follow(settings)
        address = request.client.host if request.client is not None else ""
        visit = await self._visit(request.headers.get("authorization"), address, role)
        if self._inside >= self._settings.concurrent:
            raise Busy(
                f"{self._inside} requests are being worked on", headers={"Retry-After": str(BUSY_RETRY_S)}
            )
        self._inside += 1
        try:
            yield visit
        finally:
            self._inside -= 1

    async def _visit(self, authorization: str | None, address: str, role: Role) -> Visit:
        """A caller who has the role. Raises Refused, AuditFailed."""
        try:
            caller = await run_in_threadpool(self._callers.identify, authorization)
        except Refused as refusal:
            self._count(f"address {address}")
            await self._deny(Visit(None, address, role), refusal)
            raise
        self._count(f"caller {caller.name}" if caller.name is not None else f"address {address}")
        visit = Visit(caller.name, address, role)
        if role not in caller.roles:
            denial = _without_role(caller, role)
            await self._deny(visit, denial)
            raise denial
        return visit

    def _count(self, caller: str) -> None:
        """Raises TooMany."""
        wait_s = self._rates.take(caller)
        if wait_s:
            raise TooMany("too many requests", headers={"Retry-After": str(wait_s)})

    async def _deny(self, visit: Visit, refusal: Refused) -> None:
        """Raises AuditFailed."""
        if visit.role in AUDITED:
            await run_in_threadpool(self._audit, visit.access("denied", refusal.code))


def _without_role(caller: Caller, role: Role) -> Refused:
    if caller.name is None:
        return Unauthenticated(f"the role {role} takes a token, and none is configured")
    return Forbidden(f"the caller lacks the role {role}")
