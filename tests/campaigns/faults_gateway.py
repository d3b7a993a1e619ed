"""The gateway under faults: destinations, a short patience, the queue as people see it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gateway.commands.demo.process import free_port
from tests.campaigns.faults_peers import Patient
from tests.support.gateway import DemoDestination, DemoRoute, RunningGateway

IMPATIENT = """
[queue]
backoff_s = 0.2
backoff_max_s = 1.0
attempts = 1000
"""

# Also in force before anything is read from a file, so that a test may add a table [limits] of its own.
PATIENCE = {
    "SEALGATE_LIMITS__ACSE_TIMEOUT_S": "2",
    "SEALGATE_LIMITS__DIMSE_TIMEOUT_S": "10",
    "SEALGATE_LIMITS__CONNECT_TIMEOUT_S": "2",
    "SEALGATE_LIMITS__NETWORK_TIMEOUT_S": "5",
    "SEALGATE_LIMITS__FREE_BYTES_MIN": "0",
}


def sending_to(
    folder: Path,
    nodes: Sequence[DemoDestination],
    *,
    action: str = "pass",
    environment: Mapping[str, str] | None = None,
    wrapper: Sequence[str] = (),
) -> RunningGateway:
    """A gateway (not started) that sends what SEALGATE receives to all `nodes`."""
    return RunningGateway(
        folder,
        nodes=nodes,
        routes=[DemoRoute(called="SEALGATE", action=action, to=tuple(node.name for node in nodes))],
        extra=IMPATIENT,
        environment={**PATIENCE, **(environment or {})},
        wrapper=wrapper,
        dicom_port=free_port(),
        http_port=free_port(),
    )


def node(name: str, patient: Patient) -> DemoDestination:
    return DemoDestination(name=name, ae_title="PEER", port=patient.port)


def queue(gateway: RunningGateway, *words: str) -> list[dict[str, Any]]:
    """`sealgate queue WORDS --json`: the jobs it prints."""
    command = [gateway.python, "-m", "gateway.commands.main", "queue", *words, "--json"]
    done = subprocess.run(
        [*command, "--config", str(gateway.config)], capture_output=True, check=True, timeout=240
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def jobs(gateway: RunningGateway) -> float:
    """Jobs that are not done."""
    return gateway.metric("sealgate_queue_jobs")


def spooled(gateway: RunningGateway) -> list[Path]:
    """Files in the spool; its data folder must be visible from here."""
    return list((gateway.folder / "data" / "spool").glob("*/*"))
