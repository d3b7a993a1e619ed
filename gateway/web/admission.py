"""Whom the HTTP interface lets in: identity, rate, role, and how many at once, in this order."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from gateway.config.http import HttpSettings, Role
from gateway.observe.access_log import AccessRecord
from gateway.web.errors import (
    Busy,
    Forbidden,
    Refused,
    TooMany,
    Unauthenticated,
)
from gateway.web.identity import Caller, Callers
from gateway.web.rate import CallerRates

AUDITED: frozenset[Role] = frozenset({"extract", "restore"})
BUSY_RETRY_S = 1


@dataclass(frozen=True)
class Visit:
    """A caller who was let in with a role."""

    caller: str | None
    address: str
    role: Role

    def access(
        self, outcome: str, reason: str, *, action: str | None = None, **instances: str | None
    ) -> AccessRecord:
        """action: what was done; None: what the role is called."""
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
    """settings: those in force now. audit: durable when it returns, raises AuditFailed. For one event loop."""

    def __init__(self, settings: Callable[[], HttpSettings], audit: Callable[[AccessRecord], None]) -> None:
        self._current = settings
        self._audit = audit
        self._inside = 0
        self._follow(settings())

    def _follow(self, settings: HttpSettings) -> None:
        """Of changed settings nothing that was known of callers stays."""
        self._settings = settings
        self._callers = Callers(settings)
        self._rates = CallerRates(settings.requests_per_minute)

    @asynccontextmanager
    async def admitted(self, request: Request, role: Role) -> AsyncIterator[Visit]:
        """Raises Refused. A denial of access to records is in the audit log before it is answered."""
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
        try:
            caller = await run_in_threadpool(self._callers.identify, authorization)
        except Refused as refused:
            self._pace(f"address {address}")
            await self._deny(Visit(None, address, role), refused)
            raise
        self._pace(f"caller {caller.name}" if caller.name is not None else f"address {address}")
        visit = Visit(caller.name, address, role)
        if role not in caller.roles:
            lacking = self._lacking(caller, role)
            await self._deny(visit, lacking)
            raise lacking
        return visit

    def _lacking(self, caller: Caller, role: Role) -> Refused:
        if caller.name is None:
            return Unauthenticated(f"the role {role} takes a token, and none is configured")
        return Forbidden(f"the caller lacks the role {role}")

    def _pace(self, who: str) -> None:
        wait_s = self._rates.take(who)
        if wait_s:
            raise TooMany("too many requests", headers={"Retry-After": str(wait_s)})

    async def _deny(self, visit: Visit, refused: Refused) -> None:
        if visit.role in AUDITED:
            await run_in_threadpool(self._audit, visit.access("denied", refused.code))
