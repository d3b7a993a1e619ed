"""Every error the gateway raises on purpose.

    GatewayError
    ├── UsageError     the command or the configuration must change        no retry
    ├── InputError     the sender must change something about the object   no retry
    ├── PeerError      the other side or the network                       retry, backing off
    ├── ResourceError  this machine: disk, memory, model files             retry
    └── SealBroken     a check of the seal failed                          no retry, alarm

A branch says who can mend it. A leaf carries `code` (a word for logs, metrics and JSON), `retry` (whether doing
the same thing again can help) and `hint` (what a person can do). Shells map codes to DIMSE and HTTP statuses in one
table each. Messages name files, tags and keys, never values that could identify a patient.
"""

from __future__ import annotations

from collections.abc import Sequence


class GatewayError(Exception):
    """Base of all errors below; never raised itself."""

    code = "gateway-error"
    retry = False
    hint = ""

    def __init__(self, message: str, *, hint: str | None = None, details: Sequence[str] = ()) -> None:
        """details: further lines of the message, for people."""
        super().__init__("\n  ".join((message, *details)))
        self.lines = (message, *details)
        if hint is not None:
            self.hint = hint


class UsageError(GatewayError):
    """The command line or the configuration must change."""

    code = "usage"


class InputError(GatewayError):
    """The sender must change something about the object."""

    code = "input"


class PeerError(GatewayError):
    """The other side or the network failed."""

    code = "peer"
    retry = True


class ResourceError(GatewayError):
    """This machine lacks something: disk, memory, a model file."""

    code = "resource"
    retry = True


class SealBroken(GatewayError):
    """A check of the seal failed; `check` is its number in FORMAT.md."""

    code = "seal-broken"
    hint = "Do not use the object; compare it with the modality's copy and look for who changed it."

    def __init__(self, message: str, *, check: int, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.check = check


class OtherRecipient(SealBroken):
    """The record is whole, as far as can be told, but encrypted to a key that is not here; `recipient_id` names it."""

    code = "other-key"
    hint = "Use the recipient key of that id; `sealgate keys show FILE` tells the id of each."

    def __init__(self, recipient_id: str, *, check: int) -> None:
        """recipient_id: of the key that opens the record, in hex."""
        super().__init__(
            f"a record for another key: it is encrypted to recipient {recipient_id}", check=check
        )
        self.recipient_id = recipient_id


class DeliveryLoop(UsageError):
    """A destination leads back to this gateway: what is delivered there would be kept nowhere."""

    code = "loop"
    hint = "Correct the [[destination]], then `sealgate queue retry`."


class ConfigurationError(UsageError):
    """A configuration file is wrong; the message names the key."""

    code = "configuration"


class KeyFileError(UsageError):
    """A key file is missing, unreadable, of the wrong kind, or open to others."""

    code = "key-file"


class UnreadableObject(InputError):
    """The bytes are not a DICOM object that can be parsed."""

    code = "unreadable"
    hint = "Look at the quarantined bytes; the modality or the transfer damaged them."


class HeaderTooLarge(InputError):
    """What decides about the object stands too far behind its beginning; the service does not look further."""

    code = "header-too-large"
    hint = "Look at the quarantined bytes; if they are right, use a route without conditions on elements."


class InstanceMismatch(InputError):
    """The C-STORE request names another SOP class or instance than the data set."""

    code = "instance-mismatch"
    hint = "The sender must name in its request what the object says of itself; ask its vendor."


class UnsupportedPixels(InputError):
    """The pixel data can't be decoded or encoded here."""

    code = "unsupported-pixels"
    hint = "Ask the sender for an uncompressed or losslessly compressed transfer syntax."


class AlreadySealed(InputError):
    """The object carries a seal, and the configuration refuses such objects."""

    code = "already-sealed"
    hint = "Send the original, use a route with action pass, or set seal.sealed to keep or reseal."


class NotAmendable(InputError):
    """The object, or the element, is none that can be amended."""

    code = "not-amendable"
    hint = "Only sealed objects that verify, of format version 2, can be amended; seal others anew."


class AmbiguousObject(InputError):
    """Standard readers could read the object in different ways, and the configuration refuses such objects."""

    code = "ambiguous"
    hint = "Have the sender write it as PS3.5 and PS3.10 ask, or set seal.ambiguous to pass."


class RecordTooLarge(InputError):
    """The record does not fit into the pixel data of this object."""

    code = "record-too-large"
    hint = "Configure fewer or shorter fields."


class TooMuchMemory(InputError):
    """Working on the object takes more memory than one worker may have."""

    code = "too-much-memory"
    hint = "Look at what the object claims to be; if it is right, raise limits.worker_memory_bytes (or --memory)."


class TookTooLong(InputError):
    """Working on the object takes longer than one object may."""

    code = "took-too-long"
    hint = "Look at what the object claims to be; if it is right, raise --timeout (or limits.seal_timeout_s)."


class ChangedInstance(InputError):
    """Other bytes were received before under the same SOP Instance UID, and the configuration refuses such objects."""

    code = "changed-instance"
    hint = "Send it under a SOP Instance UID of its own, or set queue.changed to update or hold."


class DeidentificationFailed(InputError):
    """The site's own command did not de-identify the object; it is not released."""

    code = "not-deidentified"
    hint = "Run release.command by hand on an object that `sealgate release` wrote without it."


class PeerUnreachable(PeerError):
    """No association: nobody listens, the network fails, or the peer rejected it."""

    code = "peer-unreachable"
    hint = "Check address, port and AE titles on both sides, then `sealgate check --echo`."


class PeerFailed(PeerError):
    """The peer broke off or answered a C-STORE with a failure that may pass."""

    code = "peer-failed"
    hint = "Look at the peer's log and its free disk space."


class TimeStampFailed(PeerError):
    """The time stamp authority did not answer in time, or its answer is no time stamp that we may believe."""

    code = "time-stamp"
    hint = "Look at seal.time_stamp: url and certificates; set required to false to send objects without a stamp."


class ProtocolBroken(PeerError):
    """The peer sent what the standard or our limits forbid; its association is ended."""

    code = "protocol"
    retry = False
    hint = "Look at what this peer sends, and at the vendor's conformance statement."


class RefusedByPeer(InputError):
    """The peer refused this object for good."""

    code = "refused-by-peer"
    hint = "Look at the peer's log; change its settings or the object, then `sealgate queue retry`."


class SpoolFull(ResourceError):
    """The disk of the spool is full, below its watermark, or fails."""

    code = "spool-full"
    hint = "Free disk space below gateway.data_dir."


class FileMissing(ResourceError):
    """The spool lost the file of a job."""

    code = "file-missing"
    retry = False
    hint = "Check the disk of data_dir, then send the object again from the modality: that mends the job."


class SpoolCorrupt(ResourceError):
    """A spool file does not hold the bytes that were written; it is never sent and never sealed."""

    code = "spool-corrupt"
    retry = False
    hint = "Check disk and memory of this machine, then send the object again from the modality: that mends the job."


class WorkerDied(ResourceError):
    """A worker process ended, or was ended after its time limit, while it held an object."""

    code = "worker-died"
    hint = "Look at the log for what it was doing; three deaths quarantine the object."


class AuditFailed(ResourceError):
    """An access to a record could not be written down; it is refused."""

    code = "audit-failed"
    hint = "Check disk space and permissions of audit.log in gateway.data_dir."


class LedgerBroken(ResourceError):
    """The ledger, or an export of it, is not what was written. Nothing is added to it, and it is not signed."""

    code = "ledger-broken"
    retry = False
    hint = "Compare it with an older export (sealgate ledger check); restore gateway.data_dir from a backup."


class AlreadyRunning(ResourceError):
    """Another gateway uses the same data folder."""

    code = "already-running"
    retry = False
    hint = "Stop the other one, or give this one another gateway.data_dir."
