"""A storage SCP that remembers every arrival: what came for one SOP Instance UID, how often, in which bytes."""

from __future__ import annotations

import random
import threading
from collections import defaultdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

from blake3 import blake3
from pynetdicom import AE, evt
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.presentation import build_context

from gateway.commands.demo.process import free_port
from tests.support.storing_peer import CT, PLAIN

OUT_OF_RESOURCES = 0xA700


class Witness:
    """Writes `UID DIGEST` into `journal` for each arrival before it answers; goes on with a journal that is there.

    restless: share (0..1) of arrivals that are taken and then answered by an abort, and of others that are refused
    with A700 after they were taken, so that they come again.
    """

    def __init__(self, journal: Path, *, seed: int, restless: float = 0.0, port: int = 0) -> None:
        # Not a port that the system gives to outgoing connections: some tests close it and open it again.
        self.port = port or free_port()
        self._journal = journal
        self._draw = random.Random(seed)
        self._restless = restless
        self._lock = threading.Lock()
        self._server: Any = None

    def arrivals(self) -> dict[str, list[str]]:
        """SOP Instance UID -> digest of the data set of each arrival, in order."""
        found: dict[str, list[str]] = defaultdict(list)
        if self._journal.exists():
            for line in self._journal.read_text().splitlines():
                uid, digest = line.split()
                found[uid].append(digest)
        return dict(found)

    def __enter__(self) -> Self:
        entity = AE(ae_title="WITNESS")
        entity.maximum_associations = 100
        contexts = [build_context(CT, list(PLAIN)), build_context("1.2.840.10008.1.1")]
        self._server = entity.start_server(
            ("127.0.0.1", self.port),
            block=False,
            contexts=contexts,
            evt_handlers=[(evt.EVT_C_STORE, self._stored)],
        )
        self.port = int(self._server.server_address[1])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()

    def _stored(self, event: evt.Event) -> int:
        uid = str(cast(C_STORE, event.request).AffectedSOPInstanceUID)
        line = f"{uid} {blake3(event.encoded_dataset(include_meta=False)).hexdigest()}\n"
        with self._lock, self._journal.open("a") as journal:
            journal.write(line)
            mood = self._draw.random()
        if mood < self._restless:
            event.assoc.abort()
        return OUT_OF_RESOURCES if mood < 2 * self._restless else 0x0000
