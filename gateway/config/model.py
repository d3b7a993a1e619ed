"""The configuration file: one frozen value, read once, every mistake named with its key and a hint.

The format is TOML; the tables are those of docs/operations.md. Relative paths are relative to the file. A value
can be overridden from the environment, `SEALGATE_<TABLE>__<KEY>=value`, which is also where secrets belong.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    PrivateAttr,
    field_validator,
    model_validator,
)

from gateway.config.hours import checked_hours
from gateway.config.http import HttpSettings
from gateway.config.limits import Limits
from gateway.config.nodes import Node, UserSettings
from gateway.config.routing import Route
from gateway.config.tls import ClientTlsSettings, TlsSettings
from gateway.config.values import (
    AETitle,
    FilePath,
    Port,
    Seconds,
    Table,
)


class GatewaySettings(Table):
    data_dir: FilePath = Path("sealgate-data")  # spool, queue, ledger, quarantine
    workers: int = Field(default=0, ge=0, le=256)  # sealing processes; 0: one for each CPU
    spool_key: FilePath | None = None  # what is written to the spool is ciphered with it

    @model_validator(mode="after")
    def _key_is_elsewhere(self) -> Self:
        if self.spool_key is not None and self.spool_key.is_relative_to(self.data_dir):
            raise ValueError(
                "spool_key: lies in data_dir, and would be stolen or backed up with it (move it)"
            )
        return self


class KeySettings(Table):
    recipient: FilePath | None = None  # whom records are encrypted to
    signer: FilePath | None = None  # what this gateway signs with
    signers: FilePath | None = None  # public keys whose seals are believed: a file or a folder
    recipient_key: FilePath | None = None  # only where records may be opened
    provider: str | None = Field(default=None, pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")  # None: key files
    passphrase_file: FilePath | None = None  # of encrypted private keys, mode 0600


class ListenerSettings(Table):
    host: str = "0.0.0.0"
    port: Port = 11112
    ae_title: AETitle = "SEALGATE"
    accept: Literal["nodes", "any"] = "nodes"  # any: strangers, too, may associate and store
    unreadable: Literal["quarantine", "refuse"] = "quarantine"  # accept and quarantine, or answer C000


class Destination(Table):
    name: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.-]+$")
    ae_title: AETitle
    host: str = Field(min_length=1)
    port: Annotated[int, Field(ge=1, le=65535)]
    calling_ae_title: AETitle | None = None  # how we call ourselves; the listener's title when absent
    associations: int = Field(
        default=2, ge=1, le=64
    )  # in parallel, kept open; more than one for a backlog only
    attempts: int | None = Field(default=None, ge=1, le=1000)  # this and the next two: None is as in [queue]
    backoff_s: Seconds | None = None
    backoff_max_s: Seconds | None = None
    bandwidth_bytes_s: int | None = Field(default=None, ge=1000)  # of all its associations together
    hours: tuple[
        Annotated[str, AfterValidator(checked_hours)], ...
    ] = ()  # local time; outside nothing is sent
    failover: str | None = None  # the destination that gets as well what this one does not take
    failover_after_s: Seconds = 600.0
    tls: ClientTlsSettings | None = None  # true: TLS with the system's authorities
    commitment: bool = False  # storage commitment waits until this archive has committed as well

    @field_validator("tls", mode="before")
    @classmethod
    def _true_or_table(cls, value: object) -> object:
        return {True: {}, False: None}[value] if isinstance(value, bool) else value

    def slowest_bytes_s(self, limits: Limits) -> float:
        """What one association takes at least, or is given up; less where several share a bandwidth."""
        if self.bandwidth_bytes_s is None:
            return limits.send_bytes_s_min
        return min(limits.send_bytes_s_min, self.bandwidth_bytes_s / self.associations / 2)

    @field_validator("hours", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value


class SealSettings(Table):
    profile: Literal["fidelity", "robust"] = "fidelity"
    fields: tuple[str, ...] | None = None  # DICOM keywords of the record; None: the default set
    identity: Literal["keep", "derive"] = "keep"
    impossible: Literal["hold", "forward-marked"] = (
        "hold"  # sealing failed for good: keep it back, or send it marked
    )
    sealed: Literal["keep", "reseal", "refuse"] = "keep"  # an object that carries a seal already
    look: Literal["always", "traces"] = "always"  # for records without a block, before writing over them
    frames: Literal["first", "every"] = "first"  # of a multi-frame image: where the record goes
    station_name: str = Field(default="", max_length=16)


class QueueSettings(Table):
    attempts: int = Field(default=10, ge=1, le=1000)  # of one object; an unreachable peer does not count
    backoff_s: Seconds = 2.0  # before the second attempt, then doubled
    backoff_max_s: Seconds = 300.0
    lease_s: Seconds = 120.0  # after which a silent worker has lost its work
    batch: int = Field(default=16, ge=1, le=1000)
    remember_hours: float = Field(
        default=168.0, ge=0
    )  # how long a repeated arrival of delivered bytes is known
    keep_hours: float = Field(
        default=0.0, ge=0
    )  # how long files stay after delivery, for `sealgate queue resend`
    keep_bytes: int = Field(default=10 << 30, ge=0)  # of them in sum; the oldest go first
    # Other bytes under a known SOP Instance UID: sent as well, kept back for a person, or answered 0111.
    changed: Literal["update", "hold", "refuse"] = "update"


class CommitmentSettings(Table):
    wait_hours: float = Field(
        default=24.0, gt=0
    )  # for deliveries, then what is missing is reported as failed
    answer_minutes: float = Field(default=10.0, gt=0)  # for an archive to answer; then it is asked again
    report_hours: float = Field(default=72.0, gt=0)  # how long it is tried to reach the requester after that


class Config(Table):
    gateway: GatewaySettings = GatewaySettings()
    keys: KeySettings = KeySettings()
    listener: ListenerSettings = ListenerSettings()
    tls: TlsSettings = TlsSettings()
    users: UserSettings = UserSettings()
    http: HttpSettings = HttpSettings()
    seal: SealSettings = SealSettings()
    queue: QueueSettings = QueueSettings()
    limits: Limits = Limits()
    commitment: CommitmentSettings = CommitmentSettings()
    node: tuple[Node, ...] = ()
    destination: tuple[Destination, ...] = Field(min_length=1)
    route: tuple[Route, ...] = Field(min_length=1)
    _source: Path | None = PrivateAttr(default=None)

    @property
    def source(self) -> Path | None:
        """The file this was loaded from; read again on SIGHUP."""
        return self._source

    def impossible(self, route_key: str) -> Literal["hold", "forward-marked"]:
        """What this route does with an object that can't be sealed; held back where routes of one key differ."""
        said = {
            route.impossible or self.seal.impossible for route in self.route if route.key == route_key
        } or {self.seal.impossible}
        return "hold" if "hold" in said else "forward-marked"

    @property
    def called_ae_titles(self) -> frozenset[str]:
        return frozenset({self.listener.ae_title, *(route.called for route in self.route)})

    def destination_named(self, name: str) -> Destination | None:
        return next((destination for destination in self.destination if destination.name == name), None)

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
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
        for number, route in enumerate(self.route):
            for name in route.to:
                if name not in names:
                    known = ", ".join(names)
                    raise ValueError(f"route.{number}.to: no destination is called {name!r} (known: {known})")
            if route.impossible is not None and route.action != "seal":
                raise ValueError(f"route.{number}.impossible: only a route that seals has it (leave it out)")
            for key in _KEYS_OF_ACTION[route.action]:
                if getattr(self.keys, key) is None:
                    raise ValueError(
                        f"keys.{key}: missing, but route.{number} needs it to {route.action} "
                        "(make keys with `sealgate keygen DIR`)"
                    )
        if self.seal.sealed == "reseal" and any(route.action == "seal" for route in self.route):
            for key in ("recipient_key", "signers"):
                if getattr(self.keys, key) is None:
                    raise ValueError(
                        f"keys.{key}: missing, but seal.sealed = 'reseal' needs it to verify and restore first "
                        "(or choose keep or refuse)"
                    )
        return self


_KEYS_OF_ACTION: dict[str, tuple[str, ...]] = {
    "seal": ("recipient", "signer"),
    "verify": ("signers",),
    "restore": ("signers", "recipient_key"),
    "pass": (),
}
