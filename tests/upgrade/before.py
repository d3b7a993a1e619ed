"""The gateway whose data folder is taken over: its routes, nodes and settings, the same before and after.

`make` runs the old version with it and keeps the folder; `test_upgrade` gives the folder to this version.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from tests.support.gateway import DemoDestination, DemoRoute, RunningGateway

COMMIT = "d8c8792"
FOLDERS = Path(__file__).parent / "data-0.1"
KINDS = ("clear", "encrypted")

TOKEN = "a token of this test, long enough"
TRANSACTION = "2.25.4711"
SPOOL_KEY_VARIABLE = "SEALGATE_GATEWAY__SPOOL_KEY"
REQUESTER = "MODALITY"
# A hundred years: the folder is older than any default that forgets or gives up.
SETTINGS = f"""\
[queue]
backoff_s = 0.2
backoff_max_s = 0.5
remember_hours = 876000

[commitment]
wait_hours = 876000
report_hours = 876000

[limits]
free_bytes_min = 0

[[http.token]]
name = "reader"
roles = ["extract", "verify"]
sha256 = "{hashlib.sha256(TOKEN.encode()).hexdigest()}"

[[node]]
name = "ct1"
ae_title = "{REQUESTER}"
hosts = "127.0.0.1"
report_to = "ct1"
"""


@dataclass(frozen=True, kw_only=True)
class Ports:
    """Where the peers listen on 127.0.0.1.

    pacs: takes everything. late: was down while the old version ran. strict: refused what the old version sent.
    requester: the modality that asked for storage commitment.
    """

    pacs: int
    late: int
    strict: int
    requester: int


def gateway(folder: Path, ports: Ports, *, wrapper: tuple[str, ...] = ()) -> RunningGateway:
    """Not started. folder: has `keys/`, and `spool.key` where the spool is encrypted; `data/` is the data folder."""
    spool_key = folder / "spool.key"
    return RunningGateway(
        folder,
        nodes=[
            DemoDestination(name="pacs", ae_title="VIEWER", port=ports.pacs),
            DemoDestination(name="late", ae_title="LATE", port=ports.late),
            DemoDestination(name="strict", ae_title="PEER", port=ports.strict),
            DemoDestination(name="ct1", ae_title=REQUESTER, port=ports.requester),
        ],
        routes=[
            DemoRoute(called="SEALGATE", action="seal", to=("pacs",)),
            DemoRoute(called="LATER", action="seal", to=("late",)),
            DemoRoute(called="STRICT", action="seal", to=("strict",)),
            DemoRoute(called="UNTOUCHED", action="pass", to=("late",)),
            DemoRoute(called="VERIFY", action="verify", to=("late",)),
        ],
        extra=SETTINGS,
        environment={SPOOL_KEY_VARIABLE: str(spool_key)} if spool_key.exists() else {},
        wrapper=wrapper,
    )
