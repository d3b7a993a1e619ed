"""Which callers the HTTP interface admits.

In this order: are tokens from there looked at, whose is this one, does the caller ask too often, may the caller do
this, is there a place. Only then the body is received: who is not admitted holds nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_network

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from gateway.config.http import HttpSettings, Role
from gateway.observe import Metrics
from gateway.observe.access_log import AccessLog, AccessRecord
from gateway.web.addresses import caller_address, site
from gateway.web.bodies import objects
from gateway.web.capacity import Capacity
from gateway.web.errors import Forbidden, Refused, TooMany, TooManyWrongTokens, Unauthenticated
from gateway.web.identity import Caller, Callers
from gateway.web.rate import CallerRates
from gateway.web.wrong_tokens import WrongTokens


@dataclass(frozen=True)
class Visit:
    """A caller, and the role that the request needs.

    caller: the name of the caller, None when nobody knows it.
    address: where the request came from.
    """

    caller: str | None
    address: str
    role: Role

    @property
    def counted_as(self) -> str:
        """Whose rate and places the request takes."""
        return f"caller {self.caller}" if self.caller is not None else f"address {site(self.address)}"

    def access(
        self,
        outcome: str,
        reason: str,
        *,
        action: str | None = None,
        instance: str | None = None,
        record_instance: str | None = None,
    ) -> AccessRecord:
        """A line for the audit log about this visit.

        outcome, reason: as in AccessRecord.
        action: what was done; None: the name of the role.
        instance, record_instance: as in AccessRecord.
        """
        return AccessRecord(
            caller=self.caller,
            address=self.address,
            role=self.role,
            action=action or self.role,
            outcome=outcome,
            reason=reason,
            instance=instance,
            record_instance=record_instance,
        )


class Admission:
    """Decides about each request. For one event loop."""

    def __init__(self, settings: Callable[[], HttpSettings], audit: AccessLog, metrics: Metrics) -> None:
        """settings: returns those in force now.
        audit: gets a line about each denial.
        metrics: counts wrong tokens.
        """
        self._current = settings
        self._audit = audit
        self._metrics = metrics
        self._follow(settings())

    def _follow(self, settings: HttpSettings) -> None:
        """Adopt new settings. What was known of the callers is forgotten."""
        self._settings = settings
        self._callers = Callers(settings)
        self._rates = CallerRates(settings.requests_per_minute)
        self._retrieve_rates = CallerRates(settings.retrieve_requests_per_minute)
        self._wrong_tokens = WrongTokens(settings.wrong_tokens_per_minute)
        self._capacity = Capacity(settings)
        self._retrieve_capacity = Capacity(
            settings.model_copy(update={"concurrent": settings.retrieve_concurrent})
        )
        self._proxies = [ip_network(proxy) for proxy in settings.trusted_proxies or ()]

    @asynccontextmanager
    async def admitted(self, request: Request, role: Role) -> AsyncIterator[Visit]:
        """Admit a request without a body for as long as the block runs.

        A denial is in the audit log before it is answered, or counted there.
        Raises Refused when the request is not admitted.
        Raises AuditFailed when the denial can't be written down.
        """
        visit, capacity = await self._visit(request, role)
        async with capacity.working(visit.counted_as):
            yield visit

    @asynccontextmanager
    async def received(
        self, request: Request, role: Role
    ) -> AsyncIterator[tuple[Visit, list[tuple[str, bytes]]]]:
        """Admit a request and receive its objects (`gateway.web.bodies.objects`), for as long as the block runs.

        Raises the same errors as `admitted`.
        """
        visit, capacity = await self._visit(request, role)
        with capacity.receiving(visit.counted_as) as holding:
            received = await objects(request, self._current(), holding)
            async with capacity.working(visit.counted_as):
                yield visit, received

    async def _visit(self, request: Request, role: Role) -> tuple[Visit, Capacity]:
        """A caller who has the role, and where the caller finds a place. Raises Refused, AuditFailed."""
        settings = self._current()
        if settings != self._settings:
            self._follow(settings)
        peer = request.client.host if request.client is not None else ""
        address = caller_address(peer, request.headers.getlist("x-forwarded-for"), self._proxies)
        visit = Visit(None, address, role)
        capacity = self._retrieve_capacity if role == "retrieve" else self._capacity
        try:
            caller = await self._identified(request.headers.get("authorization"), visit)
            visit = Visit(caller.name, address, role)
            self._count(visit, known=True)
            if role not in caller.roles:
                raise _without_role(caller, role)
        except Refused as refusal:
            await run_in_threadpool(self._audit.deny, visit.access("denied", refusal.code))
            raise
        capacity.check(visit.counted_as)
        return visit, capacity

    async def _identified(self, authorization: str | None, visit: Visit) -> Caller:
        """Raises Refused."""
        wrong_tokens = self._wrong_tokens
        if authorization is None or not self._callers.take_tokens:
            return await self._known(authorization, visit)
        wait_s = wrong_tokens.begin(visit.address)
        if wait_s:
            raise TooManyWrongTokens("too many wrong tokens", headers={"Retry-After": str(wait_s)})
        guess, right = False, False
        try:
            caller = await self._known(authorization, visit)
            right = True
        except (Unauthenticated, TooMany):
            guess = True
            self._metrics.count("sealgate_http_wrong_tokens_total")
            raise
        finally:
            if not guess:
                wrong_tokens.was_no_guess(visit.address, right=right)
        return caller

    async def _known(self, authorization: str | None, visit: Visit) -> Caller:
        """Raises Refused; TooMany when somebody whom nobody knows asks too often."""
        callers = self._callers
        try:
            if callers.may_wait(authorization):
                return await run_in_threadpool(callers.identify, authorization)
            # At once, so that right tokens that come together do not count as wrong ones meanwhile.
            return callers.identify(authorization)
        except Unauthenticated:
            self._count(visit)
            raise

    def _count(self, visit: Visit, *, known: bool = False) -> None:
        """known: whether the caller is one of ours. Raises TooMany."""
        rates = self._retrieve_rates if visit.role == "retrieve" and known else self._rates
        wait_s = rates.take(visit.counted_as)
        if wait_s:
            raise TooMany("too many requests", headers={"Retry-After": str(wait_s)})


def _without_role(caller: Caller, role: Role) -> Refused:
    if caller.name is None:
        return Unauthenticated(f"the role {role} takes a token, and none is configured")
    return Forbidden(f"the caller lacks the role {role}")
