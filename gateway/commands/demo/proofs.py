"""What the demo proves about the objects in the PACS."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from pydicom.dataset import Dataset
from pydicom.filereader import dcmread

from gateway import keys
from gateway.commands.common.printing import Printer
from gateway.commands.demo import dcmtk, study
from gateway.commands.demo.gateway_process import GatewayProcess
from gateway.commands.verify import described
from gateway.errors import ResourceError
from gateway.seal.codec.codec import Codec
from gateway.seal.examination import Examination
from gateway.seal.findings import GOOD
from gateway.seal.restoring import restore_examined
from gateway.seal.verifying import (
    Report,
    Verdict,
    extract,
    verify_examined,
)


@dataclass(frozen=True)
class Received:
    """An object as the PACS gives it back.

    uid: SOP Instance UID.
    """

    uid: str
    data: bytes

    @classmethod
    def of(cls, data: bytes) -> Self:
        header = dcmread(io.BytesIO(data), stop_before_pixels=True, force=True)
        return cls(str(header.get("SOPInstanceUID", "")), data)


@dataclass(frozen=True)
class Material:
    """The keys and networks of a verifier."""

    trusted: keys.TrustedSigners
    recipient_key: keys.RecipientKey
    codec: Codec

    def verify(self, data: bytes) -> Report:
        return self.verify_examined(Examination(data, self.codec))

    def verify_examined(self, examination: Examination) -> Report:
        return verify_examined(examination, trusted=self.trusted, recipient_key=self.recipient_key)


@dataclass
class Proofs:
    """Collects the claims that hold, and those that do not.

    originals: SOP Instance UID -> the file of the modality and its header.
    levels: SOP Instance UID -> level, of the objects that were verified.
    """

    printer: Printer
    material: Material
    originals: Mapping[str, tuple[Path, Dataset]]
    levels: dict[str, str] = field(default_factory=dict)
    held: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    @property
    def all_hold(self) -> bool:
        return bool(self.held) and not self.failed

    def check(self, holds: bool, claim: str) -> bool:
        """Remember and print whether a claim holds."""
        (self.held if holds else self.failed).append(claim)
        self.printer.text(f"  {'ok ' if holds else 'NOT'}       {claim}")
        return holds

    def is_full(self, received: Received) -> bool:
        """Whether this object was sealed at level full."""
        return self.levels.get(received.uid) == "full"

    def of_all(self, received: Sequence[Received]) -> None:
        """Verify, extract and restore each object, and compare it with what the modality sent."""
        verdicts: Counter[str] = Counter()
        records = restored = whole = full = 0
        with self.printer.progress(len(received)) as advance:
            for instance in received:
                examination = Examination(instance.data, self.material.codec)
                report = self.material.verify_examined(examination)
                verdicts[report.verdict.value] += 1
                self.levels[instance.uid] = str(report.level)
                if report.level == "full":
                    full += 1
                    records += self._record_is_right(instance)
                pixels, data_set = self._restores(instance.uid, examination)
                restored, whole = restored + pixels, whole + data_set
                advance()
        total = len(received)
        good = sum(verdicts[verdict.value] for verdict in GOOD)
        summary = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.most_common())
        self.check(good == total, f"all {total} objects the PACS gives back verify: {summary}")
        self.check(
            records == full,
            f"the encrypted record in the pixels opens and names the right patient: {records} of {full}",
        )
        self.check(
            restored == total,
            f"restored, the pixel data equals the modality's byte for byte: {restored} of {total}",
        )
        self.check(
            whole == total,
            f"the header comes back too, the whole data set proven by its digest: {whole} of {total}",
        )

    def over_http(self, gateway: GatewayProcess, received: Sequence[Received]) -> None:
        """The gateway's own verify endpoint agrees."""
        answer = gateway.request("POST", "/api/v1/verify", received[0].data, "application/dicom")
        verdict = json.loads(answer.splitlines()[0])["verdict"]
        self.check(verdict in {good.value for good in GOOD}, f"the gateway's HTTP endpoint agrees: {verdict}")

    def of_attacks(self, sealed: Received, folder: Path) -> None:
        """Change one pixel, the patient, how it is shown and the private block; then a harmless re-encoding."""
        folder.mkdir(parents=True, exist_ok=True)
        header = dcmread(io.BytesIO(sealed.data), stop_before_pixels=True)
        row, column = int(header.Rows) // 2, int(header.Columns) // 3
        changed = study.with_one_pixel_changed(sealed.data, row=row, column=column)
        report = self._judge(changed, folder / "one-pixel-changed.dcm")
        inside = any(
            top <= row < top + height and left <= column < left + width
            for _, top, left, height, width in report.tampered_tiles
        )
        self.check(
            report.verdict is Verdict.TAMPERED and inside,
            f"one bit of one pixel changed, row {row}, column {column}: {_summary(report)}",
        )
        report = self._judge(
            study.with_elements(sealed.data, {"PatientID": "ANOTHER-PATIENT"}), folder / "other-patient.dcm"
        )
        fields = {difference["keyword"] for difference in report.header_differences}
        self.check(
            report.verdict is Verdict.MISIDENTIFIED and fields == {"PatientID"},
            f"another patient's id put in: {_summary(report)}",
        )
        for name, what, elements in study.alterations(header):
            report = self._judge(study.with_elements(sealed.data, elements), folder / f"{name}.dcm")
            found = {difference["keyword"] for difference in report.header_differences}
            self.check(
                report.verdict is Verdict.ALTERED and found == set(elements), f"{what}: {_summary(report)}"
            )
        self._of_tools(sealed, folder)

    def on_the_way_back(self, gateway: GatewayProcess, changed: Received) -> None:
        """What DICOMweb and the findings say of a study of which one object was changed in the PACS."""
        header = dcmread(io.BytesIO(changed.data), stop_before_pixels=True)
        study_uid = str(header.StudyInstanceUID)
        findings = json.loads(gateway.get(f"/api/v1/findings/studies/{study_uid}"))
        worst = findings["instances"][0]
        self.check(
            findings["counts"].get("tampered") == 1
            and worst["sop_instance_uid"] == changed.uid
            and bool(worst["tampered_tiles"]),
            f"of {sum(findings['counts'].values())} objects that a viewer asks for, the one that was changed is "
            f"named, with {len(worst['tampered_tiles'])} tiles",
        )
        metadata = json.loads(gateway.get(f"/dicom-web/studies/{study_uid}/metadata"))
        told = {each["00080018"]["Value"][0]: each["00991001"]["Value"][0] for each in metadata}
        self.check(
            told.pop(changed.uid, None) == "tampered" and "tampered" not in told.values(),
            f"the viewer is told so, and of the {len(told)} others that they are not",
        )

    def _of_tools(self, sealed: Received, folder: Path) -> None:
        plain = folder / "as-sealed.dcm"
        plain.write_bytes(sealed.data)
        smaller = folder / "jpeg-ls.dcm"
        _must(dcmtk.run("dcmcjpls", [str(plain), str(smaller)]).returncode == 0, "dcmcjpls")
        report = self.material.verify(smaller.read_bytes())
        self.check(
            report.verdict is Verdict.TRANSCODED, f"re-encoded as JPEG-LS by dcmcjpls: {_summary(report)}"
        )

        bare = folder / "without-private-elements.dcm"
        bare.write_bytes(sealed.data)
        _must(dcmtk.run("dcmodify", ["-nb", "-ep", str(bare)]).returncode == 0, "dcmodify")
        report = self.material.verify(bare.read_bytes())
        record = self._record_is_right(Received(sealed.uid, bare.read_bytes()))
        remains = "and the record is still there" if record else "and the record is LOST"
        self.check(
            report.verdict is Verdict.STRIPPED and record,
            f"all private elements removed by dcmodify: {report.verdict.value}, {remains}",
        )

    def say_what_was_proven(self) -> None:
        """Print the claims that hold, or only those that do not."""
        if self.all_hold:
            self.printer.text("Proven on this machine, just now:")
            for claim in self.held:
                self.printer.text(f"  + {claim}")
            return
        self.printer.text("NOT AS IT SHOULD BE:")
        for claim in self.failed:
            self.printer.text(f"  - {claim}")

    def _judge(self, data: bytes, path: Path) -> Report:
        path.write_bytes(data)
        return self.material.verify(data)

    def _record_is_right(self, received: Received) -> bool:
        """Whether every hidden field is what the header of the modality says."""
        material = self.material
        extraction = extract(received.data, recipient_key=material.recipient_key, codec=material.codec)
        if received.uid not in self.originals or not extraction.found or not extraction.record:
            return False
        header = self.originals[received.uid][1]
        return all(
            str(value).rstrip() == str(header.get(keyword, "")).rstrip()
            for keyword, value in extraction.record.items()
        )

    def _restores(self, uid: str, examination: Examination) -> tuple[bool, bool]:
        """Whether restoring gives the pixel bytes that the modality sent, and the data set that was received."""
        if uid not in self.originals:
            return False, False
        original, restoration = restore_examined(examination, recipient_key=self.material.recipient_key)
        if original is None:
            return False, False
        sent = dcmread(self.originals[uid][0], force=True)
        same = bool(dcmread(io.BytesIO(original[:])).get("PixelData") == sent.get("PixelData"))
        return same, restoration.whole


def _summary(report: Report) -> str:
    return f"{report.verdict.value}{described(report)}".replace("  (", ", ").removesuffix(")")


def _must(done: bool, tool: str) -> None:
    if not done:
        raise ResourceError(f"{tool} failed", hint="See its message with `sealgate demo --keep`.")
