"""`sealgate seal`: seal a file or a folder, without a gateway in between."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from pydantic import ValidationError

from gateway.commands.common import batch, loading, options
from gateway.commands.common.exits import Exit
from gateway.commands.common.files import InputFile, inputs_and_outputs, opened_input, write_output
from gateway.commands.common.printing import Printer
from gateway.config import TimeStampSettings
from gateway.dicom.lazy_bytes import ByteSource
from gateway.errors import UnreadableObject
from gateway.seal import (
    DEFAULT_FIELDS,
    SealOptions,
    SealResult,
    seal,
)
from gateway.seal.codec import Profile
from gateway.seal.record.fields import field
from gateway.seal.standard_signature.signing import sign
from gateway.seal.verifying import reopen

FIELDS = (
    "sop_instance_uid", "level", "reason", "mode", "payload_bits", "coded_bits",
    "psnr_range_db", "max_change", "digest", "seal_ms", "fallback", "shortened", "resealed",
)  # fmt: skip


@dataclass(frozen=True)
class SealFile:
    """The work of `sealgate seal` on one file.

    recipient: public key of who can read the records.
    signer: private key that signs.
    profile: what hiding is tuned for.
    memory_bytes: that it may take.
    fields: keywords beside the default ones.
    signers, recipient_key: with both, sealed objects that verify are sealed anew.
    standard: private key and certificate of a standard signature; None: there is none.
    time_stamp: asked for a time stamp of it; None: nobody.
    """

    recipient: Path
    signer: Path
    profile: Profile
    memory_bytes: int
    fields: tuple[str, ...] = ()
    signers: Path | None = None
    recipient_key: Path | None = None
    standard: tuple[Path, Path] | None = None
    time_stamp: TimeStampSettings | None = None

    def __call__(self, item: InputFile) -> batch.FileResult:
        with opened_input(item, self.memory_bytes) as data:
            return self._sealed(item, data)

    def _sealed(self, item: InputFile, data: ByteSource) -> batch.FileResult:
        try:
            sealed, result = seal(
                data,
                recipient=loading.recipient(self.recipient),
                signer=loading.signer(self.signer),
                codec=loading.codec(),
                options=SealOptions(
                    profile=self.profile,
                    fields=tuple(dict.fromkeys((*DEFAULT_FIELDS, *self.fields))),
                    sealed="reseal" if self.recipient_key else "keep",
                ),
                now=datetime.now(UTC),
                reopen=self._reopen,
            )
        except UnreadableObject:
            # Every input gives an output.
            write_output(item, data)
            raise
        signature: str | None = None
        notes: list[str] = []
        if sealed is not data and self.standard is not None:
            sealed, signature, notes = self._signed(item, sealed)
        write_output(item, sealed)
        line = {"path": str(item.source)} | {name: getattr(result, name) for name in FIELDS}
        return batch.FileResult(
            line=line | {"standard_signature": signature},
            word=result.level,
            text=f"{item.source}  {_described(result)}",
            exit_code=Exit.FINDINGS if notes else Exit.OK,
            notes=tuple(notes),
        )

    def _signed(self, item: InputFile, sealed: ByteSource) -> tuple[ByteSource, str, list[str]]:
        """The object with a standard signature where that is possible, what came of it, and why it is not as asked."""
        assert self.standard is not None
        stamper = loading.time_stamper(self.time_stamp) if self.time_stamp else None
        signer, now = loading.certified_signer(*self.standard), datetime.now(UTC)
        signed, result = sign(sealed, signer, now=now, time_stamp=stamper)
        if result.reason == "unstamped" and stamper is not None:
            return signed, result.reason, [f"{item.source}: no time stamp: {stamper.problem}"]
        notes = [] if result.made else [f"{item.source}: no standard signature ({result.reason})"]
        return signed, result.reason, notes

    def _reopen(self, data: ByteSource) -> tuple[ByteSource | None, str]:
        """The original of a sealed object, which only `--reseal` opens."""
        if self.signers is None or self.recipient_key is None:
            return None, "reseal-without-key"
        return reopen(
            data,
            trusted=loading.trusted_signers(self.signers),
            recipient_key=loading.recipient_key(self.recipient_key),
            codec=loading.codec(),
        )

    def failed(self, item: InputFile, code: str, message: str) -> dict[str, Any]:
        return (
            {"path": str(item.source)}
            | dict.fromkeys((*FIELDS, "standard_signature"))
            | {"level": "pass", "reason": code, "detail": message}
        )


@click.command("seal")
@click.argument("given", type=options.EXISTING, metavar="IN")
@click.argument("out", type=options.ANY_PATH, metavar="OUT")
@click.option(
    "--recipient", type=options.EXISTING, required=True, help="Public key the record is encrypted to."
)
@click.option("--signer", type=options.EXISTING, required=True, help="Private key that signs.")
@click.option(
    "--profile",
    type=click.Choice([p.value for p in Profile]),
    default=Profile.FIDELITY.value,
    show_default=True,
)
@click.option(
    "--field",
    "fields",
    multiple=True,
    metavar="KEYWORD",
    help="One more DICOM element for the record; repeatable.",
)
@click.option(
    "--reseal", is_flag=True, help="Seal sealed objects anew from their originals; needs both keys below."
)
@click.option("--signers", type=options.EXISTING, help="With --reseal: public keys whose seals are believed.")
@options.recipient_key(required=False)
@click.option(
    "--standard-signature",
    "standard",
    type=(options.EXISTING, options.EXISTING),
    metavar="KEY CERTIFICATE",
    help="Add a digital signature after PS3.15 Annex C: private key (RSA or P-256) and certificate.",
)
@click.option(
    "--time-stamp",
    type=(str, options.EXISTING),
    metavar="URL CERTIFICATES",
    help="With --standard-signature: the time stamp authority (RFC 3161), and whose stamps are believed.",
)
@options.jobs
@options.limits
@options.json_lines
def command(
    given: Path,
    out: Path,
    recipient: Path,
    signer: Path,
    profile: str,
    fields: tuple[str, ...],
    reseal: bool,
    signers: Path | None,
    recipient_key: Path | None,
    standard: tuple[Path, Path] | None,
    time_stamp: tuple[str, Path] | None,
    jobs: int,
    memory: int,
    timeout: float,
    as_json: bool,
) -> None:
    """Seal the file IN into OUT, or every file of the folder IN into the folder OUT.

    Every input gives an output: what must not be changed is passed on as it is, and the reason is told. An object that
    carries a seal is passed on, unless --reseal is given and it verifies.
    """
    loading.recipient(recipient)
    loading.signer(signer)
    for keyword in fields:
        field(keyword)
    if reseal != bool(signers and recipient_key):
        raise click.UsageError("--reseal, --signers and --recipient-key belong together")
    if signers and recipient_key:
        loading.trusted_signers(signers)
        loading.recipient_key(recipient_key)
    if time_stamp and not standard:
        raise click.UsageError("--time-stamp is for --standard-signature")
    stamping = _time_stamping(time_stamp) if time_stamp else None
    if standard:
        loading.certified_signer(*standard)
    task = SealFile(
        recipient, signer, Profile(profile), memory, fields, signers, recipient_key, standard, stamping
    )
    limits = batch.FileLimits(memory_bytes=memory, timeout_s=timeout)
    printer = Printer(as_json=as_json)
    sys.exit(batch.run(task, inputs_and_outputs(given, out), jobs=jobs, printer=printer, limits=limits))


def _time_stamping(given: tuple[str, Path]) -> TimeStampSettings:
    """Raises KeyFileError when the certificates can't be read."""
    url, certificates = given
    try:
        settings = TimeStampSettings(url=url, certificates=certificates)
    except ValidationError as error:
        raise click.UsageError("--time-stamp: the URL begins with http:// or https://") from error
    loading.time_stamper(settings)
    return settings


def _described(result: SealResult) -> str:
    if result.level != "full":
        return f"({result.reason})"
    quality = "unchanged" if result.psnr_range_db is None else f"{result.psnr_range_db:.1f} dB"
    bits, change = result.payload_bits, result.max_change
    return f"({result.mode}, {bits} bits hidden, {quality}, largest change {change}, {result.seal_ms:.0f} ms)"
