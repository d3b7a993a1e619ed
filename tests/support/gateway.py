"""A running gateway for tests: `sealgate serve` as its own process, with own keys, ports and folders."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from gateway.commands.demo.gateway_process import DemoDestination, DemoRoute, GatewayProcess
from gateway.commands.demo.process import free_port
from tests.support.orthanc import Orthanc

__all__ = ["DemoDestination", "DemoRoute", "RunningGateway", "sealing_to", "wait_for"]


@dataclass
class RunningGateway(GatewayProcess):
    """GatewayProcess plus what tests ask of it; on ports of its own, since others may run at the same time."""

    dicom_port: int = field(default_factory=free_port)
    http_port: int = field(default_factory=free_port)

    def stop(self, timeout_s: float = 240.0) -> int | None:
        """SIGTERM and the exit code; killed after `timeout_s`, which is for a hang only."""
        return super().stop(timeout_s)

    def metric(self, name: str, **labels: str) -> float:
        """The sum over all samples of `name` whose labels include `labels`; 0 when there is none."""
        total = 0.0
        for line in self.get("/metrics").splitlines():
            found = re.fullmatch(rf"{re.escape(name)}(\{{.*\}})? (\S+)", line)
            if found and all(f'{key}="{value}"' in (found[1] or "") for key, value in labels.items()):
                total += float(found[2])
        return total

    def until_metric(self, name: str, expected: float, **labels: str) -> None:
        """Return once `metric` is `expected`: much is counted only after its effect can be seen."""
        wait_for(lambda: self.metric(name, **labels) == expected, what=f"{name} {labels} is {expected}")

    def until_logged(self, text: str) -> None:
        """Return once `text` is in the log."""
        wait_for(lambda: text in self.log, what=f"{text!r} in the log")

    @property
    def log(self) -> str:
        return (self.folder / "gateway.log").read_text(errors="replace")


def sealing_to(
    folder: Path, orthanc: Orthanc, *, extra: str = "", nodes: tuple[DemoDestination, ...] = ()
) -> RunningGateway:
    """A gateway (not started) that seals what SEALGATE receives and sends it to `orthanc`.

    nodes: further nodes; the first, if any, is where objects sent to VERIFY go after being restored.
    """
    routes = [DemoRoute(called="SEALGATE", action="seal", to=("pacs",))]
    if nodes:
        routes.append(DemoRoute(called="VERIFY", action="restore", to=(nodes[0].name,)))
    pacs = DemoDestination(name="pacs", ae_title=orthanc.ae_title, port=orthanc.dicom_port)
    return RunningGateway(
        folder,
        nodes=[pacs, *nodes],
        routes=routes,
        extra=extra,
        dicom_port=free_port(),
        http_port=free_port(),
    )


def wait_for(reached: Callable[[], bool], *, what: str, timeout_s: float = 120.0) -> None:
    """Return once `reached()`; AssertionError naming `what` after `timeout_s`, which is for a hang only."""
    deadline = time.monotonic() + timeout_s
    while not reached():
        assert time.monotonic() < deadline, f"not reached within {timeout_s:.0f} s: {what}"
        time.sleep(0.1)
