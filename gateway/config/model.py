"""The whole configuration: all tables together, and whether they fit.

The format is TOML; the tables are those of docs/operations.md. Relative paths are relative to the file. A value
can be overridden from the environment, `SEALGATE_<TABLE>__<KEY>=value`, which is also where secrets belong.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, PrivateAttr, model_validator

from gateway.config.destinations import Destination
from gateway.config.http import HttpSettings
from gateway.config.limits import Limits
from gateway.config.nodes import RETRIEVING, Node, UserSettings
from gateway.config.retrieve import RetrieveSettings
from gateway.config.routing import Route
from gateway.config.tables import (
    CommitmentSettings,
    GatewaySettings,
    KeySettings,
    LedgerSettings,
    ListenerSettings,
    QueueSettings,
    ReleaseSettings,
    SealSettings,
    VerifySettings,
)
from gateway.config.tls import TlsSettings
from gateway.config.values import Table
from gateway.config.viewer import ViewerSettings

# The keys that a route needs for its action.
_KEYS_OF_ACTION: dict[str, tuple[str, ...]] = {
    "seal": ("recipient", "signer"),
    "verify": ("signers",),
    "restore": ("signers", "recipient_key"),
    "release": ("signers", "recipient_key"),
    "pass": (),
}


class Config(Table):
    gateway: GatewaySettings = GatewaySettings()
    keys: KeySettings = KeySettings()
    listener: ListenerSettings = ListenerSettings()
    tls: TlsSettings = TlsSettings()
    users: UserSettings = UserSettings()
    http: HttpSettings = HttpSettings()
    seal: SealSettings = SealSettings()
    ledger: LedgerSettings = LedgerSettings()
    verify: VerifySettings = VerifySettings()
    release: ReleaseSettings = ReleaseSettings()
    queue: QueueSettings = QueueSettings()
    limits: Limits = Limits()
    commitment: CommitmentSettings = CommitmentSettings()
    # None: nobody can query or retrieve.
    retrieve: RetrieveSettings | None = None
    viewer: ViewerSettings = ViewerSettings()
    node: tuple[Node, ...] = ()
    destination: tuple[Destination, ...] = Field(min_length=1)
    route: tuple[Route, ...] = Field(min_length=1)
    _source: Path | None = PrivateAttr(default=None)

    @property
    def source(self) -> Path | None:
        """The file that this was loaded from. It is read again on SIGHUP."""
        return self._source

    def impossible(self, route_key: str) -> Literal["hold", "forward-marked"]:
        """What this route does with an object that can't be sealed. Where routes of one key differ: hold."""
        policies = {
            route.impossible or self.seal.impossible for route in self.route if route.key == route_key
        } or {self.seal.impossible}
        return "hold" if "hold" in policies else "forward-marked"

    @property
    def called_ae_titles(self) -> frozenset[str]:
        """The titles that a peer may call us by."""
        titles = {self.listener.ae_title, *(route.called for route in self.route)}
        return frozenset(titles | ({self.retrieve.ae_title} if self.retrieve else set()))

    @property
    def archive(self) -> Destination | None:
        """The destination that queries are passed on to; None without [retrieve]."""
        return self.destination_named(self.retrieve.archive) if self.retrieve else None

    @property
    def viewer_folder(self) -> Path:
        """Where OHIF lies, one folder a version."""
        return self.viewer.folder or self.gateway.data_dir / "viewer"

    def destination_named(self, name: str) -> Destination | None:
        return next((destination for destination in self.destination if destination.name == name), None)

    @model_validator(mode="after")
    def _names_fit(self) -> Self:
        """Names are used once, and every name that a table uses exists."""
        names = [destination.name for destination in self.destination]
        if len(set(names)) != len(names):
            raise ValueError("destination.name: two destinations have the same name (rename one)")
        if len({node.name for node in self.node}) != len(self.node):
            raise ValueError("node.name: two nodes have the same name (rename one)")
        for node in self.node:
            if node.report_to is not None and node.report_to not in names:
                raise ValueError(f"node.report_to: no destination is called {node.report_to!r} (add it)")
        if self.tls.ca is None and any(node.tls_fingerprint for node in self.node):
            raise ValueError(
                "node.tls_fingerprint: needs tls.ca, or nobody is asked for a certificate (give it)"
            )
        for number, destination in enumerate(self.destination):
            if destination.failover is not None and (
                destination.failover not in names or destination.failover == destination.name
            ):
                raise ValueError(
                    f"destination.{number}.failover: {destination.failover!r} is no other destination (name one)"
                )
        return self

    @model_validator(mode="after")
    def _routes_fit(self) -> Self:
        """Every route has its destinations, its keys, and no setting that its action does not use."""
        names = [destination.name for destination in self.destination]
        for number, route in enumerate(self.route):
            for name in route.to:
                if name not in names:
                    known = ", ".join(names)
                    raise ValueError(f"route.{number}.to: no destination is called {name!r} (known: {known})")
            if route.impossible is not None and route.action != "seal":
                raise ValueError(f"route.{number}.impossible: only a route that seals has it (leave it out)")
            if route.on_failure == "mark" and route.action == "release":
                raise ValueError(
                    f"route.{number}.on_failure: what is not good is never released, marked or not (leave it out)"
                )
            for key in _KEYS_OF_ACTION[route.action]:
                if getattr(self.keys, key) is None:
                    raise ValueError(
                        f"keys.{key}: missing, but route.{number} needs it to {route.action} "
                        "(make keys with `sealgate keygen DIR`)"
                    )
        return self

    @model_validator(mode="after")
    def _way_back_fits(self) -> Self:
        """What [retrieve] names exists, and nobody may use what is not there."""
        table = self.retrieve
        if table is None:
            if self.viewer.enabled:
                raise ValueError("viewer.enabled: there is no [retrieve], which the viewer needs (add it)")
            for node in self.node:
                services = sorted(RETRIEVING & set(node.services))
                if services:
                    raise ValueError(
                        f"node.services: {node.name} may {services[0]}, but there is no [retrieve] (add it)"
                    )
            return self
        archive = self.destination_named(table.archive)
        if archive is None:
            raise ValueError(f"retrieve.archive: no destination is called {table.archive!r} (add it)")
        if table.ae_title in {self.listener.ae_title, *(route.called for route in self.route)}:
            raise ValueError(
                "retrieve.ae_title: the listener, or a route, has the same title, which takes objects (choose another)"
            )
        for key in ("signers", "recipient_key"):
            if getattr(self.keys, key) is None:
                raise ValueError(
                    f"keys.{key}: missing, but [retrieve] needs it to verify and restore "
                    "(make keys with `sealgate keygen DIR`)"
                )
        may_store = any("store" in node.services and node.ae_title == archive.ae_title for node in self.node)
        if table.fetch == "c-move" and self.listener.accept != "any" and not may_store:
            raise ValueError(
                f"retrieve.fetch: with c-move the archive sends to us, but no node {archive.ae_title} may store "
                "(add a [[node]])"
            )
        return self

    @model_validator(mode="after")
    def _resealing_has_keys(self) -> Self:
        if self.seal.sealed == "reseal" and any(route.action == "seal" for route in self.route):
            for key in ("recipient_key", "signers"):
                if getattr(self.keys, key) is None:
                    raise ValueError(
                        f"keys.{key}: missing, but seal.sealed = 'reseal' needs it to verify and restore first "
                        "(or choose keep or refuse)"
                    )
        return self
