"""The tasks of a worker process, done: seal, verify, restore, release, mark, and the tasks of HTTP callers."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import assert_never

from gateway import keys
from gateway.config import Config
from gateway.dicom.inflation import check_inflated
from gateway.dicom.lazy_bytes import ByteSource
from gateway.dicom.part10 import read
from gateway.dicom.pixels import transcode
from gateway.dicom.rendering import native_frame, rendered
from gateway.dicom.tags import SOP_INSTANCE_UID, STUDY_INSTANCE_UID
from gateway.dicom.warning import with_warning
from gateway.errors import KeyFileError, ResourceError, UnreadableObject
from gateway.ledger import checkpoint
from gateway.observe.pseudonyms import Pseudonyms
from gateway.seal import (
    DEFAULT_FIELDS,
    Device,
    SealOptions,
    seal,
)
from gateway.seal.amending import amend
from gateway.seal.codec import Codec, Frames, Profile
from gateway.seal.examination import Examination
from gateway.seal.findings import GOOD, Report, Verdict
from gateway.seal.header.classes import moved
from gateway.seal.releasing import ReleaseRules, release
from gateway.seal.standard_signature.signing import sign
from gateway.seal.verifying import (
    extract,
    reopen,
    restore_reported,
    restore_verified,
    verify,
    verify_examined,
)
from gateway.spool import LocalSpool, Spool
from gateway.spool.stored import decrypted, opened
from gateway.work.keyring import KeyRing, spool_key
from gateway.work.ledger_entries import entry_of
from gateway.work.presenting import Told
from gateway.work.tasks import (
    KEYWORDS_MAX,
    AmendedObject,
    AmendTask,
    AnyTask,
    CheckpointTask,
    ConvertedFile,
    ConvertFileTask,
    ConvertTask,
    ExtractTask,
    Failure,
    FrameTask,
    MarkTask,
    OpenedOriginal,
    OpenedRecord,
    Outcome,
    ReleaseTask,
    RestoreOnlyTask,
    Result,
    Returned,
    ReturnTask,
    SealTask,
    SignedNote,
    VerifyOnlyTask,
    VerifyTask,
)
from gateway.work.time_stamping import TimeStamper


class Executor:
    """What a worker keeps between tasks: networks, keys, options."""

    def __init__(self, config: Config) -> None:
        """Raises KeyFileError, ResourceError; ConfigurationError where a class or an element of one is unknown."""
        self.codec = Codec.load(threads=1)
        self._keys = KeyRing.load(config.keys, config.seal.standard_signature)
        self._time_stamper = TimeStamper.of(config.seal.time_stamp) if config.seal.time_stamp else None
        self._spool = worker_spool(config)
        self._spool_key = spool_key(config)
        self._pseudonyms = _pseudonyms(config) if config.ledger.enabled else None
        self._memory_bytes = config.limits.worker_memory_bytes
        self._options = SealOptions(
            profile=Profile(config.seal.profile),
            fields=config.seal.fields or DEFAULT_FIELDS,
            identity=config.seal.identity,
            device=Device(station_name=config.seal.station_name),
            sealed=config.seal.sealed,
            ambiguous=config.seal.ambiguous,
            look=config.seal.look,
            frames=Frames(config.seal.frames),
        )
        self._classes = moved(config.verify.classes or {})
        self._release_rules = ReleaseRules(
            unsealed=config.release.unsealed == "release",
            undecodable=config.release.undecodable == "release",
        )
        self._reopen = (
            partial(
                reopen,
                trusted=self._keys.trusted,
                recipient_key=self._keys.recipient_key,
                codec=self.codec,
            )
            if self._keys.trusted and self._keys.recipient_key
            else None
        )

    def do(self, task: AnyTask) -> Result | Failure:
        """Raises GatewayError."""
        match task:
            case SealTask():
                return self._seal(task)
            case VerifyTask():
                return self._verify(task)
            case ReleaseTask():
                return self._release(task)
            case MarkTask():
                return mark(self._spool, task)
            case ConvertTask():
                return convert(self._spool, task)
            case CheckpointTask():
                return self._sign_checkpoint(task)
            case VerifyOnlyTask():
                return self._verify_only(task)
            case ExtractTask():
                return self._extract(task)
            case RestoreOnlyTask():
                return self._restore_only(task)
            case AmendTask():
                return self._amend(task)
            case ReturnTask():
                return self._return(task)
            case ConvertFileTask():
                task.target.write(transcode(task.file.read(), task.syntax))
                return ConvertedFile()
            case FrameTask():
                return self._frame(task)
            case _:
                assert_never(task)

    def _seal(self, task: SealTask) -> Outcome:
        if self._keys.recipient is None or self._keys.signer is None:
            raise KeyFileError("sealing needs keys.recipient and keys.signer")
        with self._spool.open(task.object_name) as data:
            self._check_size(data)
            sealed, result = seal(
                data,
                recipient=self._keys.recipient,
                signer=self._keys.signer,
                codec=self.codec,
                options=self._options,
                now=datetime.now(UTC),
                reopen=self._reopen,
            )
            signature = problem = ""
            if sealed is not data and self._keys.certified is not None:
                sealed, signed = sign(
                    sealed, self._keys.certified, now=datetime.now(UTC), time_stamp=self._time_stamper
                )
                signature = signed.reason
                if signature == "unstamped" and self._time_stamper is not None:
                    problem = self._time_stamper.problem
            outgoing = None if sealed is data else self._spool.put(sealed)
            entry = self._ledger_entry(sealed) if outgoing is not None else b""
        return Outcome(
            outgoing=outgoing,
            level=result.level,
            reason=result.reason,
            signature=signature,
            signature_problem=problem,
            ledger_entry=entry,
        )

    def _ledger_entry(self, sealed: ByteSource) -> bytes:
        return b"" if self._pseudonyms is None else entry_of(read(sealed), self._pseudonyms).encode()

    def _sign_checkpoint(self, task: CheckpointTask) -> SignedNote:
        """Raises KeyFileError, LedgerBroken, ResourceError."""
        signer = self._keys.signer
        if signer is None:
            raise KeyFileError("there is no keys.signer")
        note = checkpoint.sign(task.text, signer)
        origin = checkpoint.SignedCheckpoint.parse(note).checkpoint.origin
        return SignedNote(note=note, verifier_key=checkpoint.verifier_key(origin, signer.public))

    def _verify(self, task: VerifyTask) -> Outcome | Failure:
        with self._spool.open(task.object_name) as data:
            self._check_size(data)
            examination, report = self._examined(data)
            if not report.ok:
                return self._failing(data, report, str(report.verdict), task)
            if task.restores:
                return self._restore(examination, data, report, task)
        return _verified(report)

    def _examined(self, data: ByteSource) -> tuple[Examination, Report]:
        """The object as it verifies, with all keys that are at hand."""
        examination = Examination(data, self.codec)
        report = verify_examined(
            examination,
            trusted=self._keys.trusted,
            recipient_key=self._keys.recipient_key,
            classes=self._classes,
        )
        return examination, report

    def _restore(
        self, examination: Examination, data: ByteSource, report: Report, task: VerifyTask
    ) -> Outcome | Failure:
        original, restoration = restore_reported(examination, report, recipient_key=self._recipient_key())
        if original is None:
            return self._failing(data, report, f"not-restored-{restoration.reason}", task)
        return _verified(report, restored_to=self._spool.put(original))

    def _release(self, task: ReleaseTask) -> Outcome | Failure:
        with self._spool.open(task.object_name) as data:
            self._check_size(data)
            released, result = release(
                data,
                trusted=self._keys.trusted,
                recipient_key=self._recipient_key(),
                codec=self.codec,
                rules=self._release_rules,
                classes=self._classes,
            )
            verdict = str(result.report.verdict)
            if released is None:
                hint = "It may still carry its patient. Look at it in the quarantine folder."
                return Failure(
                    code=result.reason, text="not released", hint=hint, retry=False, verdict=verdict
                )
            return Outcome(
                outgoing=None if released is data else self._spool.put(released),
                level=str(result.report.level or ""),
                reason=result.reason,
                verdict=verdict,
                restored=result.statement is not None,
            )

    def _failing(self, data: ByteSource, report: Report, problem: str, task: VerifyTask) -> Outcome | Failure:
        """An object that did not verify, or was not restored, goes on with a warning or is kept back."""
        verdict = str(report.verdict)
        if not task.marks_failing or report.verdict is Verdict.UNREADABLE:
            hint = "Look at it in the quarantine folder."
            return Failure(code=problem, text="verification failed", hint=hint, retry=False, verdict=verdict)
        outgoing = self._spool.put(with_warning(data, f"verification failed: {problem}"))
        return Outcome(outgoing=outgoing, level=str(report.level or ""), reason=problem, verdict=verdict)

    def _verify_only(self, task: VerifyOnlyTask) -> Report:
        # What the caller sent may be a copy from the spool or the quarantine, encrypted as it lies there.
        with opened(task.file.path, task.file.key) as received:
            data = decrypted(received, self._spool_key)
            self._check_size(data)
            return verify(
                data,
                trusted=self._keys.trusted,
                recipient_key=None,
                codec=self.codec,
                classes=self._classes,
                certificates=self._keys.certificates,
            )

    def _extract(self, task: ExtractTask) -> OpenedRecord:
        data, key = task.file.read(), self._recipient_key()
        self._check_size(data)
        extraction = extract(data, recipient_key=key, codec=self.codec)
        return OpenedRecord(sop_instance_uid=_sop_instance_uid(data), extraction=extraction)

    def _restore_only(self, task: RestoreOnlyTask) -> OpenedOriginal:
        data, key = task.file.read(), self._recipient_key()
        self._check_size(data)
        original, restoration = restore_verified(
            Examination(data, self.codec),
            trusted=self._keys.trusted,
            recipient_key=key,
            classes=self._classes,
            unverified=task.unverified,
        )
        if original is not None:
            task.target.write(original)
        return OpenedOriginal(sop_instance_uid=_sop_instance_uid(data), restoration=restoration)

    def _amend(self, task: AmendTask) -> AmendedObject:
        """Raises NotAmendable, UsageError, KeyFileError."""
        signer, data = self._keys.signer, task.file.read()
        if signer is None:
            raise KeyFileError("there is no keys.signer")
        self._check_size(data)
        trusted = (self._keys.trusted or keys.TrustedSigners([])).with_key(signer.public)
        amended, report = amend(data, task.correcting, signer=signer, trusted=trusted, codec=self.codec)
        task.target.write(amended)
        return AmendedObject(sop_instance_uid=report.sop_instance_uid)

    def _return(self, task: ReturnTask) -> Returned:
        with opened(task.file.path, task.file.key) as data:
            self._check_size(data)
            examination, report = self._examined(data)
            verdict, reason = report.verdict, str(report.verdict)
            if verdict is not Verdict.UNREADABLE and not _is_what_was_asked(examination, report, task):
                verdict, reason = Verdict.MISIDENTIFIED, "another-object"
            treatment = task.policy.get(verdict, "withhold")
            written = restored = False
            handed = data
            if treatment == "deliver" and verdict in GOOD:
                original, restoration = restore_reported(
                    examination, report, recipient_key=self._recipient_key()
                )
                if original is None:
                    # What sealing changed is still in it, and nobody asked for that.
                    treatment, reason = "mark", f"not-restored-{restoration.reason}"
                else:
                    task.target.write(original)
                    handed, written, restored = original, True, True
            keywords = _changed_keywords(report)
            if treatment == "mark":
                handed = with_warning(data, _warning(reason, keywords))
                task.target.write(handed)
                written = True
            presentation = None
            if task.address:
                told = Told(task, str(verdict), reason, keywords, report)
                presentation = told.withheld(data) if treatment == "withhold" else told.presented(handed)
        return Returned(
            verdict=str(verdict),
            treatment=treatment,
            written=written,
            restored=restored,
            reason=reason,
            tiles=len(report.tampered_tiles),
            keywords=keywords,
            presentation=presentation,
        )

    def _frame(self, task: FrameTask) -> ConvertedFile:
        with opened(task.file.path, task.file.key) as data:
            self._check_size(data)
            file = read(data)
            if task.rendering is None:
                task.target.write(native_frame(file, task.number))
            else:
                task.target.write(rendered(file, task.number, task.rendering))
        return ConvertedFile()

    def _check_size(self, data: ByteSource) -> None:
        """Raises TooMuchMemory before an object takes it."""
        check_inflated(data, memory_bytes=self._memory_bytes)

    def _recipient_key(self) -> keys.RecipientKey:
        """Raises KeyFileError. The configuration and the service ask for the key first, so nobody sees it."""
        if self._keys.recipient_key is None:
            raise KeyFileError("there is no keys.recipient_key")
        return self._keys.recipient_key


def _is_what_was_asked(examination: Examination, report: Report, task: ReturnTask) -> bool:
    """Whether the object is the one that the archive was asked for: a whole one can lie under another's name."""
    return (
        report.sop_instance_uid == task.sop_instance
        and examination.file.text(STUDY_INSTANCE_UID) == task.study_instance
    )


def _changed_keywords(report: Report) -> tuple[str, ...]:
    """Of the elements that are not as they were sealed, those first that decide about the verdict."""
    ranked = sorted(
        report.header_differences,
        key=lambda difference: difference.get("class") in (None, "description", "bookkeeping"),
    )
    unamended = (difference for difference in ranked if not difference.get("amended"))
    keywords = dict.fromkeys(str(difference.get("keyword", "")) for difference in unamended)
    return tuple(keyword for keyword in keywords if keyword.isascii() and keyword)[:KEYWORDS_MAX]


def _warning(reason: str, keywords: tuple[str, ...]) -> str:
    """What a viewer shows with the image."""
    if reason.startswith("not-restored-"):
        return f"the original could not be restored: {reason}. See the Seal report"
    changed = f" (changed: {', '.join(keywords)})" if keywords else ""
    return f"verification failed: {reason}{changed}. See the Seal report"


def mark(spool: Spool, task: MarkTask) -> Outcome:
    """The object with the task's warning in it. Raises GatewayError."""
    with spool.open(task.object_name) as data:
        outgoing = spool.put(with_warning(data, task.warning))
    return Outcome(outgoing=outgoing, level="pass", reason=task.warning)


def convert(spool: Spool, task: ConvertTask) -> Outcome:
    """The object in another transfer syntax. Raises GatewayError."""
    with spool.open(task.object_name) as data:
        outgoing = spool.put(transcode(data[:], task.syntax))
    return Outcome(outgoing=outgoing, level="pass", reason="converted")


def worker_spool(config: Config) -> Spool:
    """The spool as a worker process opens it. Raises KeyFileError, SpoolFull."""
    return LocalSpool(config.gateway.data_dir, key=spool_key(config))


def _pseudonyms(config: Config) -> Pseudonyms:
    """Raises ResourceError."""
    try:
        return Pseudonyms.load(config.gateway.data_dir)
    except OSError as error:
        hint = "Check the disk and the rights of gateway.data_dir."
        raise ResourceError(f"the key of pseudonyms can't be read: {error.strerror}", hint=hint) from error


def _verified(report: Report, *, restored_to: str | None = None) -> Outcome:
    verdict = str(report.verdict)
    return Outcome(
        outgoing=restored_to,
        level=str(report.level or ""),
        reason=verdict,
        verdict=verdict,
        restored=restored_to is not None,
    )


def _sop_instance_uid(data: bytes) -> str:
    """Empty when the object can't be parsed."""
    try:
        return read(data).text(SOP_INSTANCE_UID)
    except UnreadableObject:
        return ""
