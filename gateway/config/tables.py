"""The plain tables: `[gateway]`, `[keys]`, `[listener]`, `[seal]`, `[ledger]`, `[release]`, `[queue]` and others."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from gateway.config.values import AETitle, FilePath, Port, Seconds, Table


class GatewaySettings(Table):
    # Spool, queue, ledger, quarantine.
    data_dir: FilePath = Path("sealgate-data")
    # Worker processes; 0: one for each CPU.
    workers: int = Field(default=0, ge=0, le=256)
    # What is written to the spool is encrypted with this key; None: not encrypted.
    spool_key: FilePath | None = None

    @model_validator(mode="after")
    def _key_is_elsewhere(self) -> Self:
        if self.spool_key is not None and self.spool_key.is_relative_to(self.data_dir):
            raise ValueError(
                "spool_key: lies in data_dir, and would be stolen or backed up with it (move it)"
            )
        return self


class KeySettings(Table):
    # The public key that records are encrypted to.
    recipient: FilePath | None = None
    # The private key that this gateway signs with.
    signer: FilePath | None = None
    # The public keys whose seals are trusted: a file or a folder.
    signers: FilePath | None = None
    # Certificates and authorities whose standard signatures and time stamps are believed, PEM.
    certificates: FilePath | None = None
    # The private key that opens records; only where records may be opened.
    recipient_key: FilePath | None = None
    # "module:function" that gives access to private keys; None: key files.
    provider: str | None = Field(default=None, pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")
    # The passphrase of encrypted private keys, in a file of mode 0600.
    passphrase_file: FilePath | None = None


class ListenerSettings(Table):
    host: str = "0.0.0.0"
    port: Port = 11112
    ae_title: AETitle = "SEALGATE"
    # any: peers that no [[node]] names may associate and store, too.
    accept: Literal["nodes", "any"] = "nodes"
    # Objects that can't be read are accepted and quarantined, or answered with C000.
    unreadable: Literal["quarantine", "refuse"] = "quarantine"


class StandardSignatureSettings(Table):
    """The key of the digital signature of PS3.15 Annex C, and its certificate: PEM files."""

    # RSA of 2048 bits or more, or P-256; mode 0600.
    key: FilePath
    # Of the key, with intermediate ones after it.
    certificate: FilePath


class TimeStampSettings(Table):
    """The authority of time stamps (RFC 3161) that is asked for each signature."""

    url: str = Field(pattern=r"^https?://[^/\s:@\[\]]+(:\d{1,5})?(/\S*)?$")
    # Authorities whose time stamps are believed, PEM.
    certificates: FilePath
    # For one answer, name look-up and transfer included.
    timeout_s: float = Field(default=5.0, ge=0.1, le=60.0)
    # Whether an object without a stamp is tried again, and not sent.
    required: bool = False

    @field_validator("url")
    @classmethod
    def _has_a_port(cls, value: str) -> str:
        # It raises ValueError for one that is out of range.
        urlsplit(value).port  # noqa: B018
        return value


class SealSettings(Table):
    profile: Literal["fidelity", "robust"] = "fidelity"
    # DICOM keywords of the record; None: the default set.
    fields: tuple[str, ...] | None = None
    # keep: the header's identity stays. derive: the sealed object gets a new SOP Instance UID.
    identity: Literal["keep", "derive"] = "keep"
    # When sealing failed for good: the object is kept back, or sent with a mark.
    impossible: Literal["hold", "forward-marked"] = "hold"
    # An object that is sealed already.
    sealed: Literal["keep", "reseal", "refuse"] = "keep"
    # An object that standard readers could read in different ways: never sealed, and forwarded as it came or kept back.
    ambiguous: Literal["pass", "refuse"] = "pass"
    # When to look for records that have no block, before they are written over.
    look: Literal["always", "traces"] = "always"
    # Which frames of a multi-frame image carry the record.
    frames: Literal["first", "every"] = "first"
    station_name: str = Field(default="", max_length=16)
    # A digital signature (PS3.15 Annex C) on every sealed object; None: there is none.
    standard_signature: StandardSignatureSettings | None = None
    # A time stamp in it; None: there is none.
    time_stamp: TimeStampSettings | None = None

    @model_validator(mode="after")
    def _something_is_stamped(self) -> Self:
        if self.time_stamp is not None and self.standard_signature is None:
            raise ValueError(
                "time_stamp: is for seal.standard_signature, which is missing (give both, or leave it out)"
            )
        return self


class LedgerSettings(Table):
    # Whether what is sealed is written down in an append-only log.
    enabled: bool = True
    # An authority that stamps its checkpoints; None: nobody does.
    time_stamp: TimeStampSettings | None = None
    # From one stamp to the next.
    time_stamp_hours: float = Field(default=24.0, ge=0.01, le=24 * 366)

    @model_validator(mode="after")
    def _something_is_stamped(self) -> Self:
        if self.time_stamp is not None and self.time_stamp.required:
            raise ValueError("time_stamp.required: nothing waits for stamps of the ledger (leave it out)")
        return self


class VerifySettings(Table):
    # Keyword, or "GGGG,private creator", -> class of header_classes.toml, for elements that mean something else here.
    classes: dict[str, str] | None = None


class ReleaseSettings(Table):
    # Objects without any trace of a seal: they carry no record, and nothing proves what they are.
    unsealed: Literal["refuse", "release"] = "refuse"
    # Objects whose pixels can't be decoded here, so that they can't be searched for a record.
    undecodable: Literal["refuse", "release"] = "refuse"
    # The site's own de-identification, run by `sealgate release` for each object: a program, then its arguments.
    # None: what it writes still names the patient.
    command: tuple[str, ...] | None = Field(default=None, min_length=3)
    # For one object; then the command is ended.
    timeout_s: Seconds = 300.0

    @field_validator("command")
    @classmethod
    def _can_be_run(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if value is None:
            return None
        if not Path(value[0]).is_absolute():
            raise ValueError("the program must be an absolute path: it is found in no folder of a PATH")
        for name in ("{in}", "{out}"):
            if not any(name in argument for argument in value[1:]):
                raise ValueError(f"no argument holds {name}, which stands for a file (add it)")
        return value


class QueueSettings(Table):
    # For one object; attempts that find an unreachable peer do not count.
    attempts: int = Field(default=10, ge=1, le=1000)
    # Before the second attempt; then doubled, up to the maximum.
    backoff_s: Seconds = 2.0
    backoff_max_s: Seconds = 300.0
    # A worker that is silent for so long loses its work.
    lease_s: Seconds = 120.0
    # Jobs that a deliverer claims at once.
    batch: int = Field(default=16, ge=1, le=1000)
    # How long a repeated arrival of delivered bytes is recognised.
    remember_hours: float = Field(default=168.0, ge=0)
    # How long files stay after delivery, for `sealgate queue resend`.
    keep_hours: float = Field(default=0.0, ge=0)
    # The most bytes of such files together; the oldest go first.
    keep_bytes: int = Field(default=10 << 30, ge=0)
    # Other bytes under a known SOP Instance UID: sent as well, kept back for a person, or answered with 0111.
    changed: Literal["update", "hold", "refuse"] = "update"


class CommitmentSettings(Table):
    # For deliveries; then what is missing is reported as failed.
    wait_hours: float = Field(default=24.0, gt=0)
    # For an archive to answer; then it is asked again.
    answer_minutes: float = Field(default=10.0, gt=0)
    # After that, for attempts to reach the requester.
    report_hours: float = Field(default=72.0, gt=0)
