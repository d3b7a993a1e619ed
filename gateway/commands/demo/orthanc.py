"""A real PACS for the demo: Orthanc with folders and ports of its own, used over REST."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from gateway.commands.demo.process import Process, free_port, program
from gateway.errors import ResourceError

# Another program may take a free port before Orthanc binds it.
START_ATTEMPTS = 4


class Orthanc:
    """Orthanc on loopback. Use it as a context manager, or with `start` and `stop`."""

    def __init__(
        self,
        folder: Path,
        *,
        ae_title: str = "ORTHANC",
        dicom_port: int | None = None,
        http_port: int | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        """folder: keeps everything that Orthanc writes.
        dicom_port, http_port: None takes free ones.
        settings: configuration keys of Orthanc, such as `DicomModalities`; they override those of the demo.
        """
        self.folder = folder
        self.ae_title = ae_title
        self.dicom_port = dicom_port or free_port()
        self.http_port = http_port or free_port()
        self.settings = dict(settings or {})
        self.process: Process | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    def start(self) -> Orthanc:
        """Start, and return when both ports answer.

        Raises ResourceError when Orthanc is missing or does not start.
        """
        executable = program("Orthanc", "orthanc")
        self.folder.mkdir(parents=True, exist_ok=True)
        for attempt in range(1, START_ATTEMPTS + 1):
            configuration = self.folder / "orthanc.json"
            configuration.write_text(json.dumps(self._configuration(), indent=1))
            self.process = Process([str(executable), str(configuration)], log=self.folder / "orthanc.log")
            self.process.start()
            try:
                self.process.wait_until(self._answers, what="Orthanc")
                return self
            except ResourceError:
                self.process.stop()
                if attempt == START_ATTEMPTS:
                    raise
                self.dicom_port, self.http_port = free_port(), free_port()
        raise ResourceError("Orthanc did not start")

    def stop(self) -> None:
        if self.process is not None:
            self.process.stop()

    def _configuration(self) -> dict[str, Any]:
        store = str(self.folder / "db")
        return {
            "Name": "Sealgate demo PACS",
            "StorageDirectory": store,
            "IndexDirectory": store,
            "DicomAet": self.ae_title,
            "DicomPort": self.dicom_port,
            "HttpPort": self.http_port,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False,
            "DicomAlwaysAllowEcho": True,
            "DicomAlwaysAllowStore": True,
            "DicomCheckCalledAet": False,
            "UnknownSopClassAccepted": True,
            "OverwriteInstances": True,
            "StableAge": 1,
            "JobsHistorySize": 100,
            "SaveJobs": False,
            "DicomAssociationCloseDelay": 1,
            "Plugins": [],
            **self.settings,
        }

    def _answers(self) -> bool:
        try:
            self.get("/system")
            with socket.create_connection(("127.0.0.1", self.dicom_port), timeout=2):
                return True
        except (OSError, ResourceError):
            return False

    def request(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """The body of the answer.

        Raises ResourceError when the HTTP status is not a success.
        """
        request = urllib.request.Request(self.url + path, data=body, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return bytes(answer.read())
        except urllib.error.HTTPError as error:
            raise ResourceError(f"Orthanc answered {error.code} to {method} {path}") from error

    def get(self, path: str) -> Any:
        return json.loads(self.request("GET", path))

    def upload(self, data: bytes) -> None:
        self.request("POST", "/instances", data)

    def instances(self) -> list[str]:
        """The identifiers that Orthanc gave all stored instances, sorted."""
        return sorted(self.get("/instances"))

    def count(self) -> int:
        """Number of stored instances."""
        return int(self.get("/statistics")["CountInstances"])

    def find(self, sop_instance_uid: str) -> str | None:
        """The identifier that Orthanc gave an instance; None while it is not stored."""
        entries = json.loads(self.request("POST", "/tools/lookup", sop_instance_uid.encode()))
        return next((entry["ID"] for entry in entries if entry["Type"] == "Instance"), None)

    def download(self, identifier: str) -> bytes:
        """The stored file of one instance, byte for byte."""
        return self.request("GET", f"/instances/{identifier}/file")

    def files(self) -> list[bytes]:
        return [self.download(identifier) for identifier in self.instances()]

    def studies(self) -> list[dict[str, Any]]:
        return list(self.get("/studies?expand"))

    def series(self) -> list[dict[str, Any]]:
        return list(self.get("/series?expand"))

    def reset(self) -> None:
        """Delete everything that is stored."""
        for identifier in self.get("/patients"):
            self.request("DELETE", f"/patients/{identifier}")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
