"""The gateway as a program in the background, with a configuration that is written for it."""

from __future__ import annotations

import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from gateway.commands.demo.process import Process, free_port
from gateway.errors import ResourceError
from gateway.keys import generate

READY_TIMEOUT_S = 120.0


@dataclass(frozen=True, kw_only=True)
class DemoDestination:
    """A DICOM node on loopback that the gateway sends to.

    extra: further TOML lines of this destination.
    """

    name: str
    ae_title: str
    port: int
    host: str = "127.0.0.1"
    extra: str = ""


@dataclass(frozen=True, kw_only=True)
class DemoRoute:
    """What happens to objects that are sent to the AE title `called`.

    to: names of the nodes that get them.
    extra: further TOML lines of this route.
    """

    called: str
    action: str
    to: tuple[str, ...]
    extra: str = ""


@dataclass
class GatewayProcess:
    """`sealgate serve` with keys, configuration and data below a folder.

    extra: TOML tables that are added to the configuration.
    listener: further lines of its table [listener]; the senders are programs on this machine, so anyone is accepted.
    environment: further variables of the process.
    python: the interpreter that has the package.
    options: further options of `sealgate serve`.
    wrapper: a command that runs the gateway in its own place (exec), such as `unshare` for a namespace of its own.
    """

    folder: Path
    nodes: Sequence[DemoDestination]
    routes: Sequence[DemoRoute]
    extra: str = ""
    listener: str = 'accept = "any"'
    environment: dict[str, str] = field(default_factory=dict)
    python: str = sys.executable
    options: Sequence[str] = ()
    wrapper: Sequence[str] = ()
    dicom_port: int = field(default_factory=lambda: free_port(11112))
    http_port: int = field(default_factory=lambda: free_port(8080))
    process: Process | None = None

    @property
    def keys(self) -> Path:
        return self.folder / "keys"

    @property
    def config(self) -> Path:
        return self.folder / "sealgate.toml"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    def prepare(self) -> None:
        """Write the configuration file, and keys if there are none."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if not (self.keys / "signer.key").exists():
            generate(self.keys)
        self.config.write_text(self._toml())

    def start(self, reached: Callable[[], bool] | None = None) -> GatewayProcess:
        """Start, and return when the gateway is ready.

        reached: says whether it is; None: /readyz does.
        Raises ResourceError, with the end of the log, when the gateway ends or takes too long.
        """
        self.prepare()
        before = self._starts()
        serve = [
            self.python,
            "-m",
            "gateway.commands.main",
            "serve",
            "--config",
            str(self.config),
            *self.options,
        ]
        command = [*self.wrapper, *serve]
        self.process = Process(command, log=self.folder / "gateway.log", environment=self.environment)
        self.process.start()
        self.process.wait_until(
            reached or (lambda: self.ready() and self._starts() > before),
            what="the gateway",
            timeout_s=READY_TIMEOUT_S,
        )
        return self

    def _starts(self) -> int:
        """How often the log says that the gateway listens. A port that answers could belong to another program."""
        log = self.folder / "gateway.log"
        return log.read_text(errors="replace").count('"event": "started"') if log.exists() else 0

    def ready(self) -> bool:
        """Whether /readyz says so."""
        try:
            self.get("/readyz")
        except (OSError, ResourceError):
            return False
        return True

    def alive(self) -> bool:
        """Whether /healthz says so."""
        try:
            self.get("/healthz")
        except (OSError, ResourceError):
            return False
        return True

    def get(self, path: str) -> str:
        return self.request("GET", path)

    def request(self, method: str, path: str, body: bytes | None = None, content_type: str = "") -> str:
        """The body of the answer.

        Raises ResourceError when the status is not a success.
        """
        headers = {"Content-Type": content_type} if content_type else {}
        request = urllib.request.Request(self.url + path, data=body, method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError as error:
            raise ResourceError(f"the gateway answered {error.code} to {method} {path}") from error

    def stop(self, timeout_s: float = 60.0) -> int | None:
        """Send SIGTERM and return the exit code; None when it was not started."""
        return self.process.stop(timeout_s) if self.process is not None else None

    def kill(self) -> None:
        """Send SIGKILL to the gateway and all its workers."""
        if self.process is not None:
            self.process.kill()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _toml(self) -> str:
        tables = [
            '[gateway]\ndata_dir = "data"',
            "[keys]\n"
            'recipient = "keys/recipient.pub"\nsigner = "keys/signer.key"\n'
            'signers = "keys/signer.pub"\nrecipient_key = "keys/recipient.key"',
            f'[listener]\nhost = "127.0.0.1"\nport = {self.dicom_port}\nae_title = "SEALGATE"\n'
            f"{self.listener}",
            f'[http]\nhost = "127.0.0.1"\nport = {self.http_port}',
        ]
        tables += [
            f'[[destination]]\nname = "{node.name}"\nae_title = "{node.ae_title}"\n'
            f'host = "{node.host}"\nport = {node.port}\n{node.extra}'.rstrip()
            for node in self.nodes
        ]
        for route in self.routes:
            to = ", ".join(f'"{name}"' for name in route.to)
            lines = [
                f'[[route]]\ncalled = "{route.called}"\naction = "{route.action}"\nto = [{to}]',
                route.extra,
            ]
            tables.append("\n".join(line for line in lines if line))
        return "\n\n".join([*tables, self.extra]).rstrip() + "\n"
