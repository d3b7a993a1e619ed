"""The names people script against: every JSON line has them, also for files that are not DICOM."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateway import keys
from tests.cli.terminal import sealgate
from tests.support import objects

SEAL = {
    "path", "sop_instance_uid", "level", "reason", "mode", "payload_bits", "coded_bits", "psnr_range_db",
    "max_change", "digest", "seal_ms",
}  # fmt: skip
VERIFY = {
    "path", "sop_instance_uid", "verdict", "level", "checks", "header_differences", "tampered_tiles",
    "format_version",
}  # fmt: skip
AMEND = {"path", "sop_instance_uid", "amendments"}
EXTRACT = {"path", "found", "mode", "record", "raw_bit_error_rate", "reason", "recipient_id"}
RESTORE = {"path", "restored", "original_digest", "reason", "verdict", "whole"}
RELEASE = {"path", "released", "reason", "verdict", "level", "deidentified", "output", "detail"}

DEFAULT_FIELDS = {
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyInstanceUID",
    "SOPInstanceUID", "IssuerOfPatientID", "StudyDate", "Modality",
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """keys/ and in/: an image, an object without one, and a file that is not DICOM; sealed into out/."""
    folder = tmp_path_factory.mktemp("contract")
    keys.generate(folder / "keys")
    (folder / "in").mkdir()
    (folder / "in" / "ct.dcm").write_bytes(objects.ct())
    (folder / "in" / "pdf.dcm").write_bytes(objects.report())
    (folder / "in" / "text.txt").write_bytes(b"no DICOM")
    return folder


def lines(folder: Path, *arguments: str, exit_code: int = 3) -> dict[str, dict[str, Any]]:
    """Name of the file -> its JSON line."""
    done = sealgate([*arguments, "--json"], folder)
    assert done.returncode == exit_code, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    return {Path(line["path"]).name: line for line in found}


@pytest.fixture(scope="module")
def sealed(folder: Path) -> dict[str, dict[str, Any]]:
    options = ["--recipient", "keys/recipient.pub", "--signer", "keys/signer.key"]
    return lines(folder, "seal", "in", "out", *options)


def test_seal(sealed: dict[str, dict[str, Any]]) -> None:
    assert all(set(line) >= SEAL for line in sealed.values())
    assert {name: line["level"] for name, line in sealed.items()} == {
        "ct.dcm": "full",
        "pdf.dcm": "digest",
        "text.txt": "pass",
    }
    assert sealed["text.txt"]["reason"] == "unreadable"


@pytest.mark.usefixtures("sealed")
def test_seal_again(folder: Path) -> None:
    """Sealed objects are passed on, or sealed anew from their originals, then with further fields."""
    with_keys = ["--recipient", "keys/recipient.pub", "--signer", "keys/signer.key"]
    kept = lines(folder, "seal", "out", "kept", *with_keys)
    assert kept["ct.dcm"]["reason"] == kept["pdf.dcm"]["reason"] == "already-sealed"
    assert (folder / "kept" / "ct.dcm").read_bytes() == (folder / "out" / "ct.dcm").read_bytes()
    way_back = ["--reseal", "--signers", "keys/signer.pub", "--recipient-key", "keys/recipient.key"]
    anew = lines(folder, "seal", "out", "anew", *with_keys, *way_back, "--field", "StudyID")
    assert {name: (line["level"], line["resealed"]) for name, line in anew.items()} == {
        "ct.dcm": ("full", True),
        "pdf.dcm": ("digest", True),
        "text.txt": ("pass", None),
    }
    opened = lines(folder, "extract", "anew", "--recipient-key", "keys/recipient.key")
    assert set(opened["ct.dcm"]["record"]) == {*DEFAULT_FIELDS, "StudyID"}
    assert sealgate(["seal", "out", "never", *with_keys, "--reseal"], folder).returncode == 2
    assert sealgate(["seal", "out", "never", *with_keys, "--field", "Nonsense"], folder).returncode == 2


@pytest.mark.usefixtures("sealed")
def test_verify_without_and_with_the_private_key(folder: Path) -> None:
    found = lines(folder, "verify", "out", "--signers", "keys/signer.pub")
    assert all(set(line) == VERIFY for line in found.values())
    assert {name: line["verdict"] for name, line in found.items()} == {
        "ct.dcm": "intact",
        "pdf.dcm": "intact",
        "text.txt": "unreadable",
    }
    checks = [check for line in found.values() for check in line["checks"]]
    assert all({"n", "name", "ok", "detail"} == set(check) for check in checks)
    opened = lines(
        folder, "verify", "out", "--signers", "keys/signer.pub", "--recipient-key", "keys/recipient.key"
    )
    assert set(opened["ct.dcm"]["record"]) == DEFAULT_FIELDS


@pytest.mark.usefixtures("sealed")
def test_extract(folder: Path) -> None:
    found = lines(folder, "extract", "out", "--recipient-key", "keys/recipient.key")
    assert all(set(line) >= EXTRACT for line in found.values())
    assert found["ct.dcm"]["record"]["PatientName"] == "Müller^Élise"
    assert [line["found"] for line in found.values()] == [True, False, False]


@pytest.mark.usefixtures("sealed")
def test_restore(folder: Path) -> None:
    found = lines(
        folder,
        "restore",
        "out",
        "back",
        "--signers",
        "keys/signer.pub",
        "--recipient-key",
        "keys/recipient.key",
    )
    assert all(set(line) >= RESTORE for line in found.values())
    assert [line["restored"] for line in found.values()] == [True, True, False]
    for name in ("ct.dcm", "pdf.dcm"):
        assert (folder / "back" / name).read_bytes() == (folder / "in" / name).read_bytes()
    assert sorted(path.name for path in (folder / "back").iterdir()) == [
        "ct.dcm",
        "pdf.dcm",
        "text.txt.not-restored",
    ]


def test_amend(folder: Path, sealed: dict[str, dict[str, Any]]) -> None:
    """The sealed image and document are corrected; the rest of the folder has its reasons."""
    assert set(sealed) == {"ct.dcm", "pdf.dcm", "text.txt"}
    options = ["--signer", "keys/signer.key", "--set", "PatientSex=M", "--reason", "why", "--by", "who"]
    found = lines(folder, "amend", "out", "corrected", *options)
    assert all(set(line) >= AMEND for line in found.values())
    for name in ("ct.dcm", "pdf.dcm"):
        [amendment] = found[name]["amendments"]
        moment = amendment.pop("at")
        assert moment.endswith("Z")
        assert amendment == {"keyword": "PatientSex", "from": "F", "to": "M", "reason": "why", "by": "who"}
        assert found[name]["sop_instance_uid"] == sealed[name]["sop_instance_uid"]
    assert (found["text.txt"]["amendments"], found["text.txt"]["reason"]) == ([], "not-amendable")


@pytest.mark.usefixtures("sealed")
def test_release(folder: Path) -> None:
    with_keys = ["--signers", "keys/signer.pub", "--recipient-key", "keys/recipient.key"]
    told = lines(folder, "release", "out", "free", *with_keys)
    assert all(set(line) == RELEASE for line in told.values())
    assert {name: line["output"] for name, line in told.items()} == {
        "ct.dcm": "free/000001.dcm",
        "pdf.dcm": "free/000002.dcm",
        "text.txt": None,
    }
    for name, output in (("ct.dcm", "000001.dcm"), ("pdf.dcm", "000002.dcm")):
        assert (folder / "free" / output).read_bytes() == (folder / "in" / name).read_bytes()
