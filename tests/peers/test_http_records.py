"""Records and originals over HTTP from a running gateway: the right ones, to the right callers, written down first."""

from __future__ import annotations

import hashlib
import io
import json
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydicom.filereader import dcmread
from pydicom.uid import UID

from gateway import keys
from gateway.commands.demo.process import free_port
from gateway.observe.pseudonyms import Pseudonyms
from gateway.seal import Device, SealOptions, seal
from gateway.seal.codec import Codec
from tests.support.certificates import Authority
from tests.support.dcmtk import remove_private_elements
from tests.support.gateway import DemoDestination, DemoRoute, RunningGateway, wait_for
from tests.support.objects import ct
from tests.support.web import audit_lines, bearer, token

TOKENS = (
    token("ward", "read", "extract"),
    token("research", "undo", "restore"),
    token("registry", "correct", "amend"),
    token("operator", "operate", "operate", "administer", "verify"),
)


def _toml() -> str:
    entries = (
        f'[[http.token]]\nname = "{entry.name}"\nroles = {json.dumps(entry.roles)}\nsha256 = "{entry.sha256}"\n'
        for entry in TOKENS
    )
    return "\n".join(entries)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gateway")


@pytest.fixture(scope="module")
def authority(folder: Path) -> Authority:
    return Authority(folder / "tls")


@pytest.fixture(scope="module")
def gateway(folder: Path, authority: Authority) -> Iterator[RunningGateway]:
    issued = authority.issue("gateway")
    running = RunningGateway(
        folder,
        nodes=[DemoDestination(name="pacs", ae_title="NOBODY", port=free_port())],
        routes=[DemoRoute(called="SEALGATE", action="seal", to=("pacs",))],
        extra=f'{_toml()}\n[http.tls]\ncertificate = "{issued.certificate}"\nkey = "{issued.key}"\n',
        dicom_port=free_port(),
        http_port=free_port(),
        environment={"SEALGATE_GATEWAY__WORKERS": "1"},
    )
    running.start(lambda: _is_ready(running))
    yield running
    running.stop()


def _is_ready(running: RunningGateway) -> bool:
    try:
        return _request(running, "GET", "/readyz").status_code == 200
    except httpx.HTTPError:
        return False


def _request(running: RunningGateway, method: str, path: str, **arguments: Any) -> httpx.Response:
    context = ssl.create_default_context(cafile=running.folder / "tls" / "test authority.crt")
    return httpx.request(
        method, f"https://127.0.0.1:{running.http_port}{path}", verify=context, timeout=120, **arguments
    )


def _post(running: RunningGateway, path: str, data: bytes, text: str) -> httpx.Response:
    return _request(running, "POST", path, content=data, headers=bearer(text))


@pytest.fixture(scope="module")
def original() -> bytes:
    return ct(seed=5, PatientName="Secret^Name", PatientID="P-4711")


@pytest.fixture(scope="module")
def sealed(gateway: RunningGateway, codec: Codec, original: bytes) -> bytes:
    """As this gateway would seal it."""
    found, _ = seal(
        original,
        recipient=keys.load_recipient(gateway.keys / "recipient.pub"),
        signer=keys.load_signer(gateway.keys / "signer.key"),
        codec=codec,
        options=SealOptions(device=Device()),
        now=datetime.now(UTC),
    )
    return bytes(found[:])


def _audit(running: RunningGateway) -> list[dict[str, Any]]:
    return audit_lines(running.folder / "data")


def test_a_record_is_given_to_callers_who_may_read_it_and_the_access_is_written_down(
    gateway: RunningGateway, sealed: bytes, original: bytes
) -> None:
    answer = _post(gateway, "/api/v1/extract", sealed, "read")
    assert answer.status_code == 200
    line = answer.json()
    assert list(line) == [
        "path", "found", "reason", "mode", "record", "raw_bit_error_rate", "recipient_id",
    ]  # fmt: skip
    assert (line["found"], line["record"]["PatientID"]) == (True, "P-4711")
    assert answer.headers["cache-control"] == "no-store"
    written = _audit(gateway)[-1]
    uid = dcmread(io.BytesIO(original)).SOPInstanceUID
    pseudonym = Pseudonyms.load(gateway.folder / "data").of(uid)
    assert (written["caller"], written["outcome"], written["reason"]) == ("ward", "allowed", "found")
    assert (written["instance"], written["record_instance"]) == (pseudonym, pseudonym)


def test_the_audit_tells_whose_record_it_was_when_the_header_names_another(
    gateway: RunningGateway, sealed: bytes, tmp_path: Path
) -> None:
    swapped = dcmread(io.BytesIO(sealed))
    true_uid = swapped.SOPInstanceUID
    swapped.SOPInstanceUID = swapped.file_meta.MediaStorageSOPInstanceUID = UID("1.2.3.4")
    swapped.save_as(tmp_path / "swapped.dcm")
    remove_private_elements(tmp_path / "swapped.dcm", tmp_path / "stripped.dcm")
    answer = _post(gateway, "/api/v1/extract", (tmp_path / "stripped.dcm").read_bytes(), "read")
    assert answer.json()["record"]["PatientID"] == "P-4711"
    pseudonyms, written = Pseudonyms.load(gateway.folder / "data"), _audit(gateway)[-1]
    assert written["instance"] == pseudonyms.of("1.2.3.4")
    assert written["record_instance"] == pseudonyms.of(true_uid)


def test_an_original_comes_back_bit_for_bit(gateway: RunningGateway, sealed: bytes, original: bytes) -> None:
    answer = _post(gateway, "/api/v1/restore", sealed, "undo")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/dicom")
    assert dcmread(io.BytesIO(answer.content)).PixelData == dcmread(io.BytesIO(original)).PixelData
    assert [line["reason"] for line in _audit(gateway)][-1] == "proven"


def _amend(running: RunningGateway, data: bytes, wanted: dict[str, Any]) -> httpx.Response:
    files = {"amendment": ("amendment.json", json.dumps(wanted)), "object": ("object.dcm", data)}
    return _request(running, "POST", "/api/v1/amend", files=files, headers=bearer("correct"))


def test_a_correction_is_signed_in_the_name_of_the_caller(gateway: RunningGateway, sealed: bytes) -> None:
    """Who restores the object afterwards gets the corrected name, and the audit log has keywords and no values."""
    wanted = {"set": {"PatientName": "Married^Name"}, "reason": "name after marriage"}
    answer = _amend(gateway, sealed, wanted)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/dicom")
    written = _audit(gateway)[-1]
    assert (written["action"], written["reason"]) == ("amend", "PatientName")
    assert "Married" not in json.dumps(written)
    report = _post(gateway, "/api/v1/verify", answer.content, "operate").json()
    assert report["verdict"] == "amended"
    (amendment,) = report["amendments"]
    assert {**amendment, "at": ""} == {
        "keyword": "PatientName",
        "from": "Secret^Name",
        "to": "Married^Name",
        "reason": "name after marriage",
        "by": "registry",
        "at": "",
    }
    restored = _post(gateway, "/api/v1/restore", answer.content, "undo")
    assert restored.headers["sealgate-verdict"] == "amended"
    assert dcmread(io.BytesIO(restored.content)).PatientName == "Married^Name"


def test_what_does_not_verify_is_neither_amended_nor_restored_unasked(
    gateway: RunningGateway, sealed: bytes, original: bytes
) -> None:
    swapped = dcmread(io.BytesIO(sealed))
    swapped.PatientID = "SOMEBODY-ELSE"
    out = io.BytesIO()
    swapped.save_as(out)
    wanted = {"set": {"PatientName": "X"}, "reason": "y"}
    refused = _amend(gateway, out.getvalue(), wanted)
    assert (refused.status_code, refused.json()["error"]) == (422, "not-amendable")
    assert _amend(gateway, original, wanted).status_code == 422
    assert _amend(gateway, sealed, {"set": {"NoKeyword": "X"}, "reason": "y"}).status_code == 400
    assert _amend(gateway, sealed, {"reason": "y"}).status_code == 400
    kept = _post(gateway, "/api/v1/restore", out.getvalue(), "undo")
    assert (kept.status_code, kept.json()["reason"], kept.json()["verdict"]) == (
        422,
        "not-verified",
        "misidentified",
    )
    given = _post(gateway, "/api/v1/restore?unverified=true", out.getvalue(), "undo")
    assert (given.status_code, given.headers["sealgate-verdict"]) == (200, "misidentified")
    assert dcmread(io.BytesIO(given.content)).PatientID == "P-4711"
    assert _audit(gateway)[-1]["reason"] == "unverified-misidentified"


def test_what_holds_nothing_and_what_is_no_object_are_answered_and_written_down(
    gateway: RunningGateway, original: bytes
) -> None:
    for data, reasons in (
        (original, ("nothing-hidden", "unsealed")),
        (b"garbage", ("unreadable", "unreadable")),
    ):
        found = _post(gateway, "/api/v1/extract", data, "read")
        assert (found.status_code, found.json()["found"], found.json()["reason"]) == (200, False, reasons[0])
        restored = _post(gateway, "/api/v1/restore", data, "undo")
        assert (restored.status_code, restored.json()["reason"]) == (422, reasons[1])
        assert [line["reason"] for line in _audit(gateway)][-2:] == list(reasons)


def test_a_record_for_another_key_is_told_from_none_at_all(
    gateway: RunningGateway, codec: Codec, original: bytes, tmp_path: Path
) -> None:
    keys.generate(tmp_path / "other")
    other = keys.load_recipient(tmp_path / "other" / "recipient.pub")
    sealed, _ = seal(
        original,
        recipient=other,
        signer=keys.load_signer(gateway.keys / "signer.key"),
        codec=codec,
        now=datetime.now(UTC),
    )
    found = _post(gateway, "/api/v1/extract", sealed, "read")
    assert (found.status_code, found.json()["found"], found.json()["reason"]) == (200, False, "other-key")
    assert found.json()["recipient_id"] == other.key_id.hex()
    restored = _post(gateway, "/api/v1/restore", sealed, "undo")
    assert (restored.status_code, restored.json()["reason"]) == (422, "other-key")
    assert [line["reason"] for line in _audit(gateway)][-2:] == ["other-key"] * 2


def test_a_caller_without_the_role_gets_nothing_of_the_record(gateway: RunningGateway, sealed: bytes) -> None:
    before = len(_audit(gateway))
    for path, text in (
        ("/api/v1/extract", "undo"),
        ("/api/v1/extract", "operate"),
        ("/api/v1/extract", "wrong"),
        ("/api/v1/restore", "read"),
    ):
        answer = _post(gateway, path, sealed, text)
        assert answer.status_code in (401, 403)
        assert "4711" not in answer.text
    report = _post(gateway, "/api/v1/verify", sealed, "operate")
    assert (report.json()["verdict"], "record" in report.json()) == ("intact", False)
    assert [line["outcome"] for line in _audit(gateway)[before:]] == ["denied"] * 4


def test_while_the_audit_log_can_not_be_written_nobody_gets_a_record(
    gateway: RunningGateway, sealed: bytes
) -> None:
    log = gateway.folder / "data" / "audit.log"
    log.rename(log.with_suffix(".aside"))
    log.mkdir()
    try:
        for path, text in (("/api/v1/extract", "read"), ("/api/v1/restore", "undo")):
            answer = _post(gateway, path, sealed, text)
            assert (answer.status_code, answer.json()["error"]) == (503, "audit-failed")
            assert "4711" not in answer.text
    finally:
        log.rmdir()
        log.with_suffix(".aside").rename(log)
    assert _post(gateway, "/api/v1/extract", sealed, "read").status_code == 200


def test_operators_see_the_queue(gateway: RunningGateway) -> None:
    assert _request(gateway, "GET", "/api/v1/queue", headers=bearer("operate")).json() == []


def test_a_reload_withdraws_a_token_and_shows_the_renewed_certificate(
    gateway: RunningGateway, authority: Authority
) -> None:
    config, old = gateway.config.read_text(), _shown(gateway)
    renewed = authority.issue("gateway")
    gateway.config.write_text(config.replace(TOKENS[0].sha256, "0" * 64))
    _reload(gateway)
    assert _shown(gateway) == renewed.fingerprint != old
    assert _post(gateway, "/api/v1/extract", b"x", "read").status_code == 401
    gateway.config.write_text(config)
    _reload(gateway)
    assert _post(gateway, "/api/v1/extract", b"x", "read").status_code == 200


def _reload(running: RunningGateway) -> None:
    before = running.log.count('"event": "reloaded"')
    assert _post(running, "/api/v1/reload", b"", "operate").status_code == 202
    wait_for(lambda: running.log.count('"event": "reloaded"') == before + 1, what="the reload")
    wait_for(lambda: _is_ready(running), what="workers after the reload")


def _shown(running: RunningGateway) -> str:
    """The fingerprint of the certificate that new connections get."""
    pem = ssl.get_server_certificate(("127.0.0.1", running.http_port))
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()


def test_neither_audit_nor_log_nor_metrics_hold_patient_data(
    gateway: RunningGateway, sealed: bytes, original: bytes
) -> None:
    _post(gateway, "/api/v1/extract", sealed, "read")
    audit = (gateway.folder / "data" / "audit.log").read_text()
    metrics = _request(gateway, "GET", "/metrics").text
    uid = str(dcmread(io.BytesIO(original)).SOPInstanceUID)
    for secret in ("4711", "Secret", uid):
        assert secret not in audit + gateway.log + metrics
    assert 'sealgate_certificate_expiry_seconds{certificate="http"}' in metrics
