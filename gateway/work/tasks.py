"""The tasks of worker processes and what comes of them, as they travel through the pipe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeAlias, TypeVar

from gateway.dicom.rendering import Rendering
from gateway.errors import GatewayError
from gateway.seal.amending import Correcting
from gateway.seal.findings import Extraction, Report, Restoration
from gateway.work.handover import SecretFile

# The name of the file of frames that were taken out of their object.
FRAMES_APART = "frames"
# Elements that are named in what a viewer is told.
KEYWORDS_MAX = 8


@dataclass(frozen=True, kw_only=True)
class Failure:
    """An error as it travels between processes. Nothing of the object may be sent.

    code: the code word of the error, or a verdict.
    text: for people; it names no values of the object.
    hint: for people; what they can do.
    retry: whether another attempt may succeed.
    verdict: what verification found, None when the object was not verified.
    """

    code: str
    text: str
    hint: str
    retry: bool
    verdict: str | None = None

    @classmethod
    def of(cls, error: GatewayError) -> Failure:
        return cls(code=error.code, text=str(error), hint=error.hint, retry=error.retry)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of a queued object that may be sent.

    outgoing: name of the new spool object, None when the object is sent as it came.
    level: the level of the seal, "" when there is none.
    reason: a code word.
    verdict: what verification found, None when the object was not verified.
    restored: whether `outgoing` holds the original pixels.
    signature: what came of the standard signature, a code word; "" where none was to be made.
    signature_problem: why it has no time stamp, for people; "" otherwise.
    ledger_entry: what the ledger is to hold about it; empty where nothing was sealed, or there is no ledger.
    """

    outgoing: str | None
    level: str
    reason: str
    verdict: str | None = None
    restored: bool = False
    signature: str = ""
    signature_problem: str = ""
    ledger_entry: bytes = b""


@dataclass(frozen=True, kw_only=True)
class OpenedRecord:
    """What came of an ExtractTask.

    sop_instance_uid: of the object, "" when the object can't be parsed.
    """

    sop_instance_uid: str
    extraction: Extraction


@dataclass(frozen=True, kw_only=True)
class AmendedObject:
    """What came of an AmendTask. The amended object is in the task's `target`.

    sop_instance_uid: of the object.
    """

    sop_instance_uid: str


@dataclass(frozen=True, kw_only=True)
class OpenedOriginal:
    """What came of a RestoreOnlyTask. The original is in the task's `target` when it was restored.

    sop_instance_uid: of the object, "" when the object can't be parsed.
    """

    sop_instance_uid: str
    restoration: Restoration


@dataclass(frozen=True, kw_only=True)
class SignedNote:
    """What came of a CheckpointTask.

    note: the checkpoint, signed.
    verifier_key: of the signer, as signed notes name it.
    """

    note: bytes
    verifier_key: str


@dataclass(frozen=True, kw_only=True)
class Presentation:
    """What a viewer that asks over HTTP needs of an object, so that the service need not parse it.

    syntax: UID of the transfer syntax of what is handed out.
    metadata: DICOM JSON model (PS3.18 F) without its bulk data, deflated.
    report: the report of verification as JSON, deflated.
    frames: of each frame, the byte ranges (start, stop) that hold it; empty where it has none, or they can't be told.
    apart: whether the frames lie in a file of their own, in Explicit VR Little Endian.
    bulk: tag -> byte range (start, stop) of a long value.
    """

    syntax: str
    metadata: bytes
    report: bytes
    frames: tuple[tuple[tuple[int, int], ...], ...] = ()
    apart: bool = False
    bulk: Mapping[int, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Returned:
    """What came of a ReturnTask.

    verdict: of the object; `misidentified` also for a whole object that is another one than was asked for.
    treatment: "deliver", "mark" or "withhold".
    written: whether the task's `target` is what is handed out; otherwise its `file` is, unless it is withheld.
    restored: whether that is the original.
    reason: a code word, the verdict or what is behind it.
    tiles: how many tiles of the pixels changed.
    keywords: of the elements that differ, at most KEYWORDS_MAX. No values.
    presentation: where the task asked for it.
    """

    verdict: str
    treatment: str
    written: bool
    restored: bool
    reason: str
    tiles: int = 0
    keywords: tuple[str, ...] = ()
    presentation: Presentation | None = None


@dataclass(frozen=True, kw_only=True)
class ConvertedFile:
    """What came of a ConvertFileTask or a FrameTask: it is in the task's `target`."""


Result: TypeAlias = (
    Outcome | Report | OpenedRecord | OpenedOriginal | AmendedObject | SignedNote | Returned | ConvertedFile
)
ResultT = TypeVar("ResultT", bound=Result)


class Task(Generic[ResultT]):
    """Base of all tasks. Its parameter is the type of what a task yields, where it does not yield a Failure."""


# -- Tasks of the queue name objects of the spool.


@dataclass(frozen=True, kw_only=True)
class SealTask(Task[Outcome]):
    """Seal the object."""

    object_name: str


@dataclass(frozen=True, kw_only=True)
class VerifyTask(Task[Outcome]):
    """Verify the object and pass it on.

    restores: whether the original is passed on instead of an object that verifies.
    marks_failing: whether an object that fails is passed on with a warning in it. Otherwise it is a Failure.
    """

    object_name: str
    restores: bool
    marks_failing: bool


@dataclass(frozen=True, kw_only=True)
class ReleaseTask(Task[Outcome]):
    """Verify the object, and pass on its original without any trace of the seal. What is not good is a Failure."""

    object_name: str


@dataclass(frozen=True, kw_only=True)
class MarkTask(Task[Outcome]):
    """Write `warning` into the object. Needs neither networks nor keys."""

    object_name: str
    warning: str


@dataclass(frozen=True, kw_only=True)
class ConvertTask(Task[Outcome]):
    """Convert the object without loss into the transfer syntax of this UID. Needs neither networks nor keys."""

    object_name: str
    syntax: str


# -- For the ledger.


@dataclass(frozen=True, kw_only=True)
class CheckpointTask(Task[SignedNote]):
    """Sign a checkpoint of the ledger. text: of the checkpoint; nothing else is signed."""

    text: bytes


# -- Tasks on demand name files that the service hands over.


@dataclass(frozen=True, kw_only=True)
class VerifyOnlyTask(Task[Report]):
    """Verify the file and report. The hidden record stays closed."""

    file: SecretFile


@dataclass(frozen=True, kw_only=True)
class ExtractTask(Task[OpenedRecord]):
    """Read the hidden record of the file."""

    file: SecretFile


@dataclass(frozen=True, kw_only=True)
class RestoreOnlyTask(Task[OpenedOriginal]):
    """Write the original of the file to `target`.

    unverified: also of an object that does not verify.
    """

    file: SecretFile
    target: SecretFile
    unverified: bool = False


@dataclass(frozen=True, kw_only=True)
class AmendTask(Task[AmendedObject]):
    """Correct the file, sign the correction, and write it to `target`.

    correcting: holds patient data, and so goes no further than the worker.
    """

    file: SecretFile
    target: SecretFile
    correcting: Correcting


@dataclass(frozen=True, kw_only=True)
class ReturnTask(Task[Returned]):
    """Verify an object on its way to a viewer, and write to `target` what the viewer may get.

    sop_instance, study_instance: UIDs of the object that was asked for.
    policy: verdict -> treatment, for every verdict.
    address: where a viewer that asks over HTTP finds the instance; it needs a Presentation. Frames that can't be cut
        out of the object are then written beside `target`, to FRAMES_APART. Empty for other viewers.
    series_instance: UID, as the archive names it; needed with an address.
    """

    file: SecretFile
    target: SecretFile
    sop_instance: str
    study_instance: str
    policy: Mapping[str, str]
    address: str = ""
    series_instance: str = ""


@dataclass(frozen=True, kw_only=True)
class ConvertFileTask(Task[ConvertedFile]):
    """Write the file without loss in the transfer syntax of this UID to `target`."""

    file: SecretFile
    target: SecretFile
    syntax: str


@dataclass(frozen=True, kw_only=True)
class FrameTask(Task[ConvertedFile]):
    """Write one frame of the file to `target`: its samples in Explicit VR Little Endian, or as a picture.

    number: of the frame, from 1.
    rendering: how the picture is made; None for samples.
    """

    file: SecretFile
    target: SecretFile
    number: int
    rendering: Rendering | None = None


AnyTask: TypeAlias = (
    SealTask
    | VerifyTask
    | ReleaseTask
    | MarkTask
    | ConvertTask
    | CheckpointTask
    | VerifyOnlyTask
    | ExtractTask
    | RestoreOnlyTask
    | AmendTask
    | ReturnTask
    | ConvertFileTask
    | FrameTask
)
