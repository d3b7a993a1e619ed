"""The configuration file: one frozen value, read once, every mistake named with its key and a hint.

The format is TOML; the tables are those of docs/operations.md. Relative paths are relative to the file. A value
can be overridden from the environment, `SEALGATE_<TABLE>__<KEY>=value`, which is also where secrets belong.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    PrivateAttr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydicom.datadict import tag_for_keyword

from gateway import schedule
from gateway.errors import ConfigurationError
from gateway.nodes import Node, Users
from gateway.tables import AETitle, FilePath, Port, Seconds, Table
from gateway.tls import ClientTls, Tls
from gateway.web.settings import Http

ENVIRONMENT_PREFIX = "SEALGATE_"
TABLES = ("gateway", "keys", "listener", "tls", "users", "http", "seal", "queue", "limits", "commitment")

HINTS = {
    "extra_forbidden": "there is no such key here; look for a misspelling",
    "missing": "add the key",
    "greater_than_equal": "use a larger number",
    "less_than_equal": "use a smaller number",
    "int_parsing": "write a number without quotes",
    "literal_error": "choose one of the words listed",
    "string_type": "put the value in quotes",
    "tuple_type": "write a list: [..., ...]",
}


class Gateway(Table):
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


class Keys(Table):
    recipient: FilePath | None = None  # whom records are encrypted to
    signer: FilePath | None = None  # what this gateway signs with
    signers: FilePath | None = None  # public keys whose seals are believed: a file or a folder
    recipient_key: FilePath | None = None  # only where records may be opened
    provider: str | None = Field(default=None, pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")  # None: key files
    passphrase_file: FilePath | None = None  # of encrypted private keys, mode 0600


class Listener(Table):
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
        Annotated[str, AfterValidator(schedule.checked)], ...
    ] = ()  # local time; outside nothing is sent
    failover: str | None = None  # the destination that gets as well what this one does not take
    failover_after_s: Seconds = 600.0
    tls: ClientTls | None = None  # true: TLS with the system's authorities
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


class Route(Table):
    """Objects whose called AE title and conditions match; the first matching route of the file is taken.

    Conditions are shell patterns (`*`, `?`), compared case-sensitively. `where` maps DICOM keywords of
    top-level elements to patterns.
    """

    called: AETitle
    action: Literal["seal", "verify", "restore", "pass"]  # pass: forwarded untouched, the way around
    to: tuple[str, ...] = Field(min_length=1)
    calling: tuple[str, ...] = ()
    modality: tuple[str, ...] = ()
    sop_class: tuple[str, ...] = ()
    where: dict[str, str] = Field(default_factory=dict)
    priority: Literal["urgent", "normal", "low"] = (
        "normal"  # within each step and destination, urgent goes first
    )
    on_failure: Literal["quarantine", "mark"] = "quarantine"  # of verification
    impossible: Literal["hold", "forward-marked"] | None = None  # None: as in [seal]

    @field_validator("calling", "modality", "sop_class", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @field_validator("where")
    @classmethod
    def _known_keywords(cls, value: dict[str, str]) -> dict[str, str]:
        for keyword in value:
            if tag_for_keyword(keyword) is None:
                raise ValueError(f"{keyword} is not a DICOM keyword")
        return value

    @property
    def needs_header(self) -> bool:
        """Whether the data set must be parsed to decide."""
        return bool(self.modality or self.where)

    @property
    def key(self) -> str:
        """What makes two routes do the same with the same object."""
        return f"{self.called}/{self.action}/{','.join(self.to)}"

    def admits(self, called: str, calling: str) -> bool:
        return called == self.called and _any(self.calling, calling)

    def matches(self, called: str, calling: str, sop_class: str, header: Mapping[str, str]) -> bool:
        """header: keyword -> text of the elements that conditions name (empty text when absent)."""
        return (
            self.admits(called, calling)
            and _any(self.sop_class, sop_class)
            and _any(self.modality, header.get("Modality", ""))
            and all(fnmatchcase(header.get(keyword, ""), pattern) for keyword, pattern in self.where.items())
        )


class Seal(Table):
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


class Queue(Table):
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


class Limits(Table):
    associations: int = Field(default=64, ge=1, le=10_000)  # two threads each
    associations_per_peer: int = Field(default=16, ge=1, le=10_000)  # from one address
    pdu_bytes: int = Field(default=128 << 10, ge=4 << 10, le=16 << 20)
    acse_timeout_s: Seconds = 30.0
    dimse_timeout_s: Seconds = 60.0  # of an answer, after the last byte; one second more for each 10 MB
    network_timeout_s: Seconds = 60.0  # without a complete PDU an association is ended
    connect_timeout_s: Seconds = 10.0
    send_bytes_s_min: int = Field(
        default=20_000, ge=1
    )  # a destination that takes less gets the object another time
    idle_release_s: Seconds = 10.0  # an outgoing association without work is released
    free_bytes_min: int = Field(default=512 << 20, ge=0)  # below it C-STORE answers A700
    drain_s: Seconds = 30.0  # after SIGTERM
    seal_timeout_s: Seconds = 900.0  # of one object, then its worker is ended
    worker_memory_bytes: int = Field(default=4 << 30, ge=512 << 20)  # data of one worker process


class Commitment(Table):
    wait_hours: float = Field(
        default=24.0, gt=0
    )  # for deliveries, then what is missing is reported as failed
    answer_minutes: float = Field(default=10.0, gt=0)  # for an archive to answer; then it is asked again
    report_hours: float = Field(default=72.0, gt=0)  # how long it is tried to reach the requester after that


class Config(Table):
    gateway: Gateway = Gateway()
    keys: Keys = Keys()
    listener: Listener = Listener()
    tls: Tls = Tls()
    users: Users = Users()
    http: Http = Http()
    seal: Seal = Seal()
    queue: Queue = Queue()
    limits: Limits = Limits()
    commitment: Commitment = Commitment()
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


def _any(patterns: tuple[str, ...], value: str) -> bool:
    return not patterns or any(fnmatchcase(value, pattern) for pattern in patterns)


def load(path: Path, *, environment: Mapping[str, str] = os.environ) -> Config:
    """Read and check a file. Raises ConfigurationError whose message has one line for each mistake."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ConfigurationError(f"{path}: {reason}", hint="Give the path of a TOML file.") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path}: not UTF-8 text", hint="Save the file as UTF-8.") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path}: {error}", hint="Correct the TOML at that line.") from error
    _override(tables, environment)
    for name in TABLES:
        tables.setdefault(name, {})  # so that defaults, too, are relative to the file
    try:
        config = Config.model_validate(tables, context={"folder": path.absolute().parent})
    except ValidationError as error:
        lines = "\n".join(f"  {line}" for line in _explain(error))
        raise ConfigurationError(f"{path}:\n{lines}", hint="Correct the keys named above.") from error
    config._source = path.absolute()
    return config


def _override(tables: dict[str, Any], environment: Mapping[str, str]) -> None:
    for variable, value in environment.items():
        table, separator, key = variable.removeprefix(ENVIRONMENT_PREFIX).lower().partition("__")
        if variable.startswith(ENVIRONMENT_PREFIX) and separator:
            if not isinstance(tables.setdefault(table, {}), dict):
                raise ConfigurationError(f"{variable}: only plain tables can be overridden")
            tables[table][key] = value


def _explain(error: ValidationError) -> list[str]:
    """`key: what is wrong (hint)` for each mistake; values are left out, they may be secret."""
    lines = []
    for problem in error.errors(include_input=False, include_url=False):
        key = ".".join(str(part) for part in problem["loc"])
        message = problem["msg"].removeprefix("Value error, ")
        hint = HINTS.get(problem["type"])
        text = f"{key}: {message}" if key else message
        lines.append(f"{text} ({hint})" if hint else text)
    return lines
