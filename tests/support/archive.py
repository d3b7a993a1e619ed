"""An archive that keeps every data set exactly as it came over the wire.

Orthanc and storescp parse what they store, so they can't show that not one byte changed. This one writes each
arrival as a Part 10 file, numbered in order, and accepts every SOP class and transfer syntax. As a program:
`python -m tests.support.archive PORT FOLDER`.
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from typing import cast

from pynetdicom import AE, _config, evt
from pynetdicom.dimse_primitives import C_STORE

from gateway.commands.demo.dcmtk import echoscu
from gateway.commands.demo.process import Process, free_port
from tests.support.modality import Parcel

AE_TITLE = "ARCHIVE"


class Archive:
    """The archive as a program in the background."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "received"
        self.folder.mkdir(parents=True)
        self.port = free_port()
        command = [sys.executable, "-m", "tests.support.archive", str(self.port), str(self.folder)]
        self._process = Process(command, log=folder / "archive.log")

    def start(self) -> Archive:
        self._process.start()
        self._process.wait_until(lambda: echoscu(self.port, called=AE_TITLE), what="the archive")
        return self

    def stop(self) -> None:
        self._process.stop()

    def files(self) -> list[bytes]:
        """All arrivals, oldest first."""
        return [path.read_bytes() for path in sorted(self.folder.glob("*.dcm"))]


def serve(port: int, folder: Path) -> None:
    _config.UNRESTRICTED_STORAGE_SERVICE = True
    numbers = itertools.count(1)

    def store(event: evt.Event) -> int:
        request = cast(C_STORE, event.request)
        item = Parcel(
            str(request.AffectedSOPClassUID),
            str(request.AffectedSOPInstanceUID),
            event.context.transfer_syntax,
            event.encoded_dataset(include_meta=False),
        )
        target = folder / f"{next(numbers):06d}.dcm"
        temporary = target.with_suffix(".part")
        temporary.write_bytes(item.as_file())
        temporary.replace(target)
        return 0x0000

    entity = AE(ae_title=AE_TITLE)
    entity.add_supported_context("1.2.840.10008.1.1")
    entity.maximum_associations = 32
    entity.start_server(("127.0.0.1", port), block=True, evt_handlers=[(evt.EVT_C_STORE, store)])


if __name__ == "__main__":
    serve(int(sys.argv[1]), Path(sys.argv[2]))
