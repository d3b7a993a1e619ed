"""`sealgate demo`, step by step. Each step is checked, and the end says only what was proven."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pydicom.uid import ExplicitVRLittleEndian

from gateway import keys
from gateway.commands.common.exits import Exit
from gateway.commands.common.printing import Printer
from gateway.commands.demo import dcmtk, study
from gateway.commands.demo.gateway_process import DemoDestination, DemoRoute, GatewayProcess
from gateway.commands.demo.orthanc import Orthanc
from gateway.commands.demo.process import free_port
from gateway.commands.demo.proofs import Material, Proofs, Received
from gateway.dicom.pixels import transcode
from gateway.errors import PeerError, ResourceError, UsageError
from gateway.seal.codec.codec import Codec
from gateway.web.viewer import bundle

ARRIVAL_TIMEOUT_S = 900.0
STALL_TIMEOUT_S = 120.0
# A file in folders that a demo may empty.
MARKER = ".sealgate-demo"


# The demo shows what was tampered with; by default it is withheld.
WAY_BACK = """
[retrieve]
archive = "pacs"
ae_title = "SEALVIEW"
web_policy = { tampered = "mark" }
"""


@dataclass(frozen=True)
class DemoViewer:
    """OHIF at a port of the demo's gateway.

    folder: where the viewer was fetched to.
    """

    folder: Path
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    @property
    def table(self) -> str:
        return f"[viewer]\nenabled = true\nport = {self.port}\nfolder = {json.dumps(str(self.folder))}\n"


@dataclass
class Demo:
    """One run.

    work: folder for keys, databases and copies; it is emptied at the start and kept at the end.
    study: folder with the files to send; None: the demo finds or makes some.
    keep: stay up at the end, until Ctrl-C.
    printer: for the output.
    """

    work: Path
    study: Path | None
    keep: bool
    printer: Printer = field(default_factory=lambda: Printer(as_json=False))

    def run(self) -> Exit:
        """Exit code OK if everything was as it should be, otherwise FINDINGS.

        Raises ResourceError when a program is missing or does not start.
        Raises UsageError when a folder does not suit.
        """
        name, files = study.find(self.study, beside=Path.cwd())
        with _own_folder(self.work) as work:
            files = files or study.make_series(work / "modality")
            self._say(f"Sealgate demo, working in {work}")
            self._say(f"The study: {name}")
            viewer = self._viewer()
            with _pacs(work) as pacs, _gateway(work, pacs, viewer) as gateway:
                proofs = self._through(work, files, pacs, gateway)
                self._conclude(proofs, pacs, gateway, viewer)
                if self.keep:
                    self._stay(pacs, gateway)
            self._say("Stopped: gateway and PACS.")
        return Exit.OK if proofs.all_hold else Exit.FINDINGS

    def _through(self, work: Path, files: list[Path], pacs: Orthanc, gateway: GatewayProcess) -> Proofs:
        self._step("Keys, a PACS and the gateway")
        self._say(f"  keys      {gateway.keys}: recipient (encrypts, opens) and signer (signs, is believed)")
        self._say(f"  PACS      Orthanc, AE title {pacs.ae_title}, port {pacs.dicom_port}, {pacs.url}")
        self._say(f"  gateway   AE title SEALGATE, port {gateway.dicom_port}, {gateway.url}")
        if not dcmtk.echoscu(gateway.dicom_port):
            raise PeerError("the gateway does not answer a C-ECHO")

        originals = study.headers(files)
        self._step(f"A modality sends {len(originals)} objects to SEALGATE (DCMTK storescu)")
        began = time.monotonic()
        dcmtk.storescu(gateway.dicom_port, [path for path, _ in originals.values()])
        sent_s = time.monotonic() - began
        arrived = self._wait_for(pacs, len(originals))
        took_s = time.monotonic() - began
        self._say(f"  acknowledged after {sent_s:.1f} s, sealed and in the PACS after {took_s:.1f} s")

        self._step("What the PACS received")
        self._show(pacs)
        proofs = Proofs(self.printer, load_material(gateway, Codec.load()), originals)
        proofs.check(arrived == len(originals), f"all {len(originals)} objects arrived in the PACS")
        received = [Received.of(data) for data in pacs.files()]

        self._step("Every object: verify, extract the hidden record, restore")
        proofs.of_all(received)
        proofs.over_http(gateway, received)

        self._step("Copies that somebody tampered with")
        sealed = next((instance for instance in received if proofs.is_full(instance)), None)
        if sealed is None:
            proofs.check(False, "at least one object has the record in its pixels")
        else:
            plain = Received.of(transcode(sealed.data, ExplicitVRLittleEndian))
            proofs.of_attacks(plain, work / "copies")
            self._step("Somebody changes an image inside the PACS, and a viewer asks for the study")
            pacs.request("POST", "/instances", study.with_a_patch(plain.data))
            proofs.on_the_way_back(gateway, plain)
        return proofs

    def _viewer(self) -> DemoViewer | None:
        """OHIF, kept beside the demo's folder; None where it can't be fetched."""
        folder = self.work.resolve().with_name("viewer")
        try:
            bundle.fetch(folder, registry=os.environ.get("NPM_CONFIG_REGISTRY") or bundle.REGISTRY)
        except bundle.ViewerNotFetched as error:
            self._say(f"No viewer: {error}. {error.hint}")
            return None
        return DemoViewer(folder, free_port(8081))

    def _wait_for(self, pacs: Orthanc, expected: int) -> int:
        """Wait until the PACS holds all objects, or nothing more came for a while. Returns how many it holds."""
        deadline = time.monotonic() + ARRIVAL_TIMEOUT_S
        last, last_change = 0, time.monotonic()
        with self.printer.progress(expected) as advance:
            while last < expected and time.monotonic() < deadline:
                count = pacs.count()
                for _ in range(count - last):
                    advance()
                if count != last:
                    last, last_change = count, time.monotonic()
                elif time.monotonic() - last_change > STALL_TIMEOUT_S:
                    break
                time.sleep(0.2)
        return last

    def _show(self, pacs: Orthanc) -> None:
        for stored_study in pacs.studies():
            tags = stored_study["MainDicomTags"] | stored_study["PatientMainDicomTags"]
            self._say(f"  study     {tags.get('StudyDescription') or 'without description'}")
        for series in pacs.series():
            tags, count = series["MainDicomTags"], len(series["Instances"])
            self._say(f"  series    {tags.get('Modality', '?')}, {count} objects")
            simple = json.dumps(pacs.get(f"/instances/{series['Instances'][0]}/tags"))
            traces = [word for word in ("SEALGATE", "ContributingEquipmentSequence") if word in simple]
            self._say(f"            sealed by us, as its header says: {', '.join(traces) or 'nothing found'}")

    def _conclude(
        self, proofs: Proofs, pacs: Orthanc, gateway: GatewayProcess, viewer: DemoViewer | None
    ) -> None:
        self._step("HTTP endpoints of the gateway")
        for path, what in (
            ("/healthz", "alive"),
            ("/readyz", "ready"),
            ("/metrics", "Prometheus"),
            ("/api/v1/verify", "POST an object, get its verdict"),
            ("/dicom-web", "the PACS, verified and restored (QIDO-RS, WADO-RS)"),
        ):
            self._say(f"  {gateway.url + path:<40} {what}")
        self._say(f"  {pacs.url + '/app/explorer.html':<40} the PACS")
        levels = Counter(proofs.levels.values())
        self._say("")
        self._say("Levels: " + ", ".join(f"{count} {level}" for level, count in levels.most_common()))
        proofs.say_what_was_proven()
        if viewer is not None:
            self._say("")
            self._say(f"See it in OHIF: {viewer.url}" + ("" if self.keep else "  (make demo KEEP=1)"))

    def _stay(self, pacs: Orthanc, gateway: GatewayProcess) -> None:
        self._say("")
        self._say(
            f"Still running. Send to SEALGATE at 127.0.0.1:{gateway.dicom_port}; Ctrl-C stops everything."
        )
        try:
            while pacs.process and pacs.process.running and gateway.process and gateway.process.running:
                time.sleep(0.5)
        except KeyboardInterrupt:
            self._say("")

    def _step(self, title: str) -> None:
        self._say("")
        self._say(f"== {title}")

    def _say(self, text: str) -> None:
        self.printer.text(text)


def load_material(gateway: GatewayProcess, codec: Codec) -> Material:
    """The keys of the gateway, for verifying and opening what it sealed."""
    return Material(
        trusted=keys.load_trusted_signers(gateway.keys / "signer.pub"),
        recipient_key=keys.load_recipient_key(gateway.keys / "recipient.key"),
        codec=codec,
    )


def _pacs(work: Path) -> Orthanc:
    """One that answers the gateway's queries."""
    settings = {"DicomAlwaysAllowFind": True, "DicomAlwaysAllowGet": True}
    return Orthanc(work / "pacs", dicom_port=free_port(4343), http_port=free_port(8043), settings=settings)


def _gateway(work: Path, pacs: Orthanc, viewer: DemoViewer | None) -> GatewayProcess:
    node = DemoDestination(name="pacs", ae_title=pacs.ae_title, port=pacs.dicom_port)
    route = DemoRoute(called="SEALGATE", action="seal", to=("pacs",))
    tables = WAY_BACK + (viewer.table if viewer is not None else "")
    return GatewayProcess(work / "gateway", nodes=[node], routes=[route], extra=tables)


@contextmanager
def _own_folder(work: Path) -> Iterator[Path]:
    """An empty folder that no other demo uses: `work`, or a folder beside it while that one is in use."""
    for candidate in (work, work.with_name(f"{work.name}-{os.getpid()}")):
        candidate.mkdir(parents=True, exist_ok=True)
        lock = candidate.with_name(candidate.name + ".lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            continue
        with lock:
            _empty(candidate)
            yield candidate.resolve()
        return
    raise ResourceError(f"another demo uses {work}", hint="Stop it first.")


def _empty(folder: Path) -> None:
    """Remove what an earlier demo left.

    Raises UsageError when the folder holds files of something else.
    """
    if any(folder.iterdir()) and not (folder / MARKER).exists():
        raise UsageError(
            f"{folder} holds files that are not a demo's", hint="Name an empty folder with --work."
        )
    shutil.rmtree(folder)
    folder.mkdir()
    (folder / MARKER).touch()
