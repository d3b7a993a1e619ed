"""What somebody with the object, but without the signer's private key, can and can't do: docs/threat-model.md."""

from __future__ import annotations

import io
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import UID

from gateway import keys
from gateway.dicom.elements import EXPLICIT_LE, encode
from gateway.dicom.part10 import read
from gateway.dicom.tags import PIXEL_DATA
from gateway.errors import KeyFileError
from gateway.seal import seal
from gateway.seal.block import private_block
from gateway.seal.block import statement as statements
from gateway.seal.verifying import Report, Verdict
from tests.support import objects
from tests.support.desk import NOW, Desk


@pytest.fixture(scope="module")
def original() -> bytes:
    return objects.ct()


@pytest.fixture(scope="module")
def sealed(desk: Desk, original: bytes) -> bytes:
    return desk.seal(original)[0]


def with_pixels(data: bytes, pixels: np.ndarray) -> bytes:
    return read(data).edited({PIXEL_DATA: encode(PIXEL_DATA, b"OW", pixels.tobytes(), EXPLICIT_LE)})


def pixels_of(data: bytes) -> np.ndarray:
    return np.frombuffer(read(data).value(PIXEL_DATA) or b"", "<u2").copy()


def stripped(data: bytes) -> bytes:
    file = read(data)
    return file.edited(private_block.removal(file))


def with_block(data: bytes, new: private_block.Block) -> bytes:
    bare = read(stripped(data))
    return bare.edited(private_block.edits(new, bare))


def block_of(data: bytes) -> private_block.Block:
    block = private_block.find(read(data))
    assert block is not None
    return block


def failed(report: Report) -> set[int]:
    return {check.n for check in report.checks if not check.ok}


@pytest.fixture(scope="module")
def recomputed(desk: Desk, other_desk: Desk, original: bytes) -> bytes:
    """An insider erases a finding, and seals the result anew with our recipient's key and a signer key of his own."""
    pixels = pixels_of(original).reshape(256, 256)
    pixels[100:110, 100:110] = pixels[100, 99]
    data, result = seal(
        with_pixels(original, pixels),
        recipient=desk.recipient,
        signer=other_desk.signer,
        codec=desk.codec,
        now=NOW,
    )
    assert result.level == "full"
    return data


def test_an_insider_who_recomputes_every_digest_is_an_unknown_signer(desk: Desk, recomputed: bytes) -> None:
    assert desk.verify(recomputed).verdict is Verdict.UNKNOWN_SIGNER
    assert desk.verify(recomputed, with_key=False).verdict is Verdict.UNKNOWN_SIGNER


def test_an_insider_who_writes_the_name_of_a_trusted_signer_has_no_signature_for_it(
    desk: Desk, recomputed: bytes, sealed: bytes
) -> None:
    true, forged = block_of(sealed), block_of(recomputed)
    statement, _ = statements.decode(forged.statement)
    believed, _ = statements.decode(true.statement)
    claimed = statements.encode(replace(statement, signer_id=believed.signer_id))
    for signature in (true.signature, forged.signature):
        report = desk.verify(with_block(recomputed, replace(forged, statement=claimed, signature=signature)))
        assert report.verdict is Verdict.TAMPERED
        assert 3 in failed(report)


def test_a_true_statement_does_not_fit_recomputed_pixels(
    desk: Desk, recomputed: bytes, sealed: bytes
) -> None:
    report = desk.verify(with_block(recomputed, block_of(sealed)))
    assert report.verdict is Verdict.TAMPERED
    assert 5 in failed(report)


def test_a_sealed_image_under_another_patient_is_misidentified(desk: Desk, sealed: bytes) -> None:
    """The whole seal is moved: pixels and block fit each other, but not the header."""
    dataset = pydicom.dcmread(io.BytesIO(sealed))
    dataset.PatientID, dataset.PatientName = "OTHER", "Other^One"
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = UID("2.25.7")
    out = io.BytesIO()
    dataset.save_as(out)
    report = desk.verify(out.getvalue(), with_key=False)
    assert report.verdict is Verdict.MISIDENTIFIED
    differing = {difference["keyword"] for difference in report.header_differences}
    assert differing >= {"PatientID", "PatientName", "SOPInstanceUID"}


def test_a_seal_put_over_another_one_is_not_taken_for_it(
    desk: Desk, other_desk: Desk, original: bytes, sealed: bytes
) -> None:
    traceless = with_pixels(original, pixels_of(sealed))  # so that no policy of a gateway stops him
    over, result = other_desk.seal(traceless, look="traces")
    assert result.level == "full"
    assert desk.verify(over).verdict is Verdict.UNKNOWN_SIGNER
    foreign = with_block(sealed, block_of(other_desk.seal(objects.ct(seed=9))[0]))
    assert desk.verify(foreign).verdict is Verdict.UNKNOWN_SIGNER


def test_whoever_destroys_record_and_block_makes_it_unsealed_and_never_intact(
    desk: Desk, sealed: bytes
) -> None:
    pixels = pixels_of(stripped(sealed))
    pixels ^= np.random.default_rng(5).integers(0, 8, pixels.shape).astype("<u2")
    report = desk.verify(with_pixels(stripped(sealed), pixels))
    assert report.verdict is Verdict.UNSEALED
    assert not report.ok


def test_what_a_stolen_sealing_gateway_holds_opens_no_record_and_restores_nothing(
    desk: Desk, other_desk: Desk, sealed: bytes, key_folder: Path
) -> None:
    """It has the recipient's public key, the signer's private key, and the objects."""
    for name in ("recipient.pub", "signer.key", "signer.pub"):
        with pytest.raises(KeyFileError):
            keys.load_recipient_key(key_folder / name)
    kept = block_of(sealed)
    hidden = kept.statement + kept.signature + kept.tiles + kept.restoring + kept.envelope
    assert b"SYN-00000" not in hidden and "Müller".encode() not in hidden
    assert desk.verify(sealed, with_key=False).record is None
    assert other_desk.extract(sealed).record is None
    assert other_desk.restore(sealed)[0] is None


def test_a_stolen_recipient_key_opens_records_but_signs_nothing(
    desk: Desk, sealed: bytes, key_folder: Path
) -> None:
    assert desk.extract(sealed).found
    with pytest.raises(KeyFileError):
        keys.load_signer(key_folder / "recipient.key")


def test_a_process_that_read_a_private_key_leaves_no_core_dump(key_folder: Path) -> None:
    program = (
        "import ctypes, resource, sys\n"
        "from gateway import keys\n"
        "keys.load_signer(__import__('pathlib').Path(sys.argv[1]))\n"
        "PR_GET_DUMPABLE = 3\n"
        "print(ctypes.CDLL(None).prctl(PR_GET_DUMPABLE), resource.getrlimit(resource.RLIMIT_CORE)[0])\n"
    )
    command = [sys.executable, "-c", program, str(key_folder / "signer.key")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "0"]
