"""What a worker does with a task, without its process."""

from __future__ import annotations

from pathlib import Path

import pytest
from blake3 import blake3

from gateway.config import Config, LedgerSettings, StandardSignatureSettings, TimeStampSettings
from gateway.dicom import part10
from gateway.errors import LedgerBroken, TimeStampFailed
from gateway.ledger.checkpoint import Checkpoint, SignedCheckpoint, public_of
from gateway.ledger.entry import LedgerEntry
from gateway.observe.pseudonyms import Pseudonyms
from gateway.seal import examination
from gateway.seal.block import private_block, statement
from gateway.seal.codec import Codec, Revealed
from gateway.seal.standard_signature.checking import SignatureState, StampState, check_standard_signatures
from gateway.spool import LocalSpool
from gateway.work.executor import Executor
from gateway.work.tasks import CheckpointTask, Outcome, SealTask, SignedNote, VerifyTask
from tests.peers.test_workers import configured
from tests.support import objects
from tests.support.time_stamp_authority import SigningAuthority, TimeStampAuthority, http_server, replying


def test_a_restore_route_parses_and_reveals_an_object_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configured(tmp_path)
    executor, spool = Executor(config), LocalSpool(config.gateway.data_dir)
    original = objects.ct(rows=128, columns=128)
    sealed = executor.do(SealTask(object_name=spool.put(original)))
    assert isinstance(sealed, Outcome) and sealed.outgoing is not None
    calls = []
    reveal = Codec.reveal

    def counted_reveal(codec: Codec, *arguments: object, **options: object) -> Revealed | None:
        calls.append("reveal")
        return reveal(codec, *arguments, **options)  # type: ignore[arg-type]

    def counted_read(data: bytes) -> object:
        calls.append("read")
        return part10.read(data)

    monkeypatch.setattr(Codec, "reveal", counted_reveal)
    monkeypatch.setattr(examination, "read", counted_read)
    task = VerifyTask(object_name=sealed.outgoing, restores=True, marks_failing=False)
    restored = executor.do(task)
    assert isinstance(restored, Outcome) and restored.outgoing is not None
    assert spool.read(restored.outgoing) == original
    assert sorted(calls) == ["read", "reveal"]


def with_signature(
    config: Config, authority: SigningAuthority, time_stamp: TimeStampSettings | None
) -> Config:
    """The configuration, with a standard signature of a certificate of this authority."""
    pair = authority.signer()
    signature = StandardSignatureSettings(key=pair.key, certificate=pair.certificate)
    seal = config.seal.model_copy(update={"standard_signature": signature, "time_stamp": time_stamp})
    return config.model_copy(update={"seal": seal})


def test_sealed_objects_get_a_standard_signature_with_a_stamp_where_it_is_configured(tmp_path: Path) -> None:
    authority = SigningAuthority(tmp_path / "authority")
    stamping = TimeStampAuthority(tmp_path / "tsa", authority.stamper())
    with http_server(replying(stamping.answer)) as url:
        time_stamp = TimeStampSettings(url=url, certificates=authority.certificate)
        config = with_signature(configured(tmp_path), authority, time_stamp)
        executor, spool = Executor(config), LocalSpool(config.gateway.data_dir)
        sealed = executor.do(SealTask(object_name=spool.put(objects.ct(rows=64, columns=64))))
    assert isinstance(sealed, Outcome) and sealed.outgoing is not None
    assert (sealed.level, sealed.signature, sealed.signature_problem) == ("full", "stamped", "")
    (signature,) = check_standard_signatures(part10.read(spool.read(sealed.outgoing)))
    assert (signature.state, signature.stamp) == (SignatureState.VALID, StampState.UNTRUSTED)


def test_a_time_stamp_authority_that_fails_costs_the_stamp_and_not_the_object(tmp_path: Path) -> None:
    authority = SigningAuthority(tmp_path / "authority")
    with http_server(replying(lambda _: b"out of order", status=503)) as url:
        time_stamp = TimeStampSettings(url=url, certificates=authority.certificate)
        config = with_signature(configured(tmp_path), authority, time_stamp)
        executor, spool = Executor(config), LocalSpool(config.gateway.data_dir)
        sealed = executor.do(SealTask(object_name=spool.put(objects.ct(rows=64, columns=64))))
    assert isinstance(sealed, Outcome) and sealed.outgoing is not None
    assert (sealed.signature, "503" in sealed.signature_problem) == ("unstamped", True)
    (signature,) = check_standard_signatures(part10.read(spool.read(sealed.outgoing)))
    assert (signature.state, signature.stamp) == (SignatureState.VALID, StampState.NONE)


def test_a_required_time_stamp_that_is_missing_is_an_error_to_try_again(tmp_path: Path) -> None:
    authority = SigningAuthority(tmp_path / "authority")
    with http_server(replying(lambda _: b"out of order", status=503)) as url:
        time_stamp = TimeStampSettings(url=url, certificates=authority.certificate, required=True)
        config = with_signature(configured(tmp_path), authority, time_stamp)
        executor, spool = Executor(config), LocalSpool(config.gateway.data_dir)
        name = spool.put(objects.ct(rows=64, columns=64))
        with pytest.raises(TimeStampFailed) as failure:
            executor.do(SealTask(object_name=name))
    assert failure.value.retry
    # Nothing half done stays behind.
    assert list(spool.names()) == [name]


def test_what_is_not_sealed_is_not_signed(tmp_path: Path) -> None:
    authority = SigningAuthority(tmp_path / "authority")
    config = with_signature(configured(tmp_path), authority, None)
    executor, spool = Executor(config), LocalSpool(config.gateway.data_dir)
    first = executor.do(SealTask(object_name=spool.put(objects.ct(rows=64, columns=64))))
    assert isinstance(first, Outcome) and first.outgoing is not None
    assert first.signature == "signed"
    again = executor.do(SealTask(object_name=first.outgoing))
    assert isinstance(again, Outcome)
    assert (again.outgoing, again.level, again.signature) == (None, "pass", "")


def test_what_is_sealed_has_an_entry_for_the_ledger_without_patient_data(tmp_path: Path) -> None:
    config = configured(tmp_path)
    executor, spool = Executor(config), LocalSpool(config.gateway.data_dir)
    sealed = executor.do(SealTask(object_name=spool.put(objects.ct(rows=64, columns=64))))
    assert isinstance(sealed, Outcome) and sealed.outgoing is not None
    entry = LedgerEntry.decode(sealed.ledger_entry)
    file = part10.read(spool.read(sealed.outgoing))
    block = private_block.find(file)
    assert block is not None
    assert (entry.level, entry.digest.hex()) == ("full", block.digest)
    pseudonyms = Pseudonyms.existing(config.gateway.data_dir)
    for tag, pseudonym in (
        (0x00080018, entry.instance),
        (0x0020000E, entry.series),
        (0x0020000D, entry.study),
    ):
        assert pseudonym.hex() == pseudonyms.of(file.text(tag))
    assert entry.statement == blake3(statement.decode(block.statement)[1]).digest()
    for tag in (0x00100010, 0x00100020, 0x00080018, 0x00080050):
        assert file.text(tag).encode() not in sealed.ledger_entry


def test_what_is_passed_on_untouched_has_no_entry(tmp_path: Path) -> None:
    config = configured(tmp_path)
    executor, spool = Executor(config), LocalSpool(config.gateway.data_dir)
    sealed = executor.do(SealTask(object_name=spool.put(objects.ct(rows=64, columns=64))))
    assert isinstance(sealed, Outcome) and sealed.outgoing is not None
    again = executor.do(SealTask(object_name=sealed.outgoing))
    assert isinstance(again, Outcome)
    assert (again.level, again.outgoing, again.ledger_entry) == ("pass", None, b"")


def test_without_a_ledger_there_is_no_entry(tmp_path: Path) -> None:
    config = configured(tmp_path).model_copy(update={"ledger": LedgerSettings(enabled=False)})
    executor, spool = Executor(config), LocalSpool(config.gateway.data_dir)
    sealed = executor.do(SealTask(object_name=spool.put(objects.ct(rows=64, columns=64))))
    assert isinstance(sealed, Outcome) and (sealed.level, sealed.ledger_entry) == ("full", b"")


def test_a_worker_signs_checkpoints_of_a_ledger_and_nothing_else(tmp_path: Path) -> None:
    executor = Executor(configured(tmp_path))
    origin = "sealgate-ledger/gateway/0123456789abcdef"
    text = Checkpoint(origin, 3, bytes(32)).text
    done = executor.do(CheckpointTask(text=text))
    assert isinstance(done, SignedNote)
    assert SignedCheckpoint.parse(done.note).signed_by(public_of(done.verifier_key))
    with pytest.raises(LedgerBroken):
        executor.do(CheckpointTask(text=b"sealgate statement v2\0" + text))
