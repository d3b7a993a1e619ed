"""An export of the ledger: a folder that a third party can check with LEDGER.md and nothing else."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

from cryptography.hazmat.primitives import serialization

from gateway.errors import LedgerBroken, ResourceError, UsageError
from gateway.keys.identity import signer_id
from gateway.ledger.checkpoint import Checkpoint, public_of
from gateway.ledger.folder import CHECKPOINT, KEYS, STAMPS, LedgerFolder
from gateway.ledger.tiles import WIDTH, bundle, bundle_path, tile, tile_path, widths
from gateway.runtime import durable

DOCUMENT = "LEDGER.md"
# An export holds no secret; whoever may read the folder may read it.
FILE_MODE, FOLDER_MODE = 0o644, 0o755


def export(ledger: LedgerFolder, target: Path) -> Checkpoint:
    """Write the ledger, as it was signed last, to the new folder `target`. Returns what it was.

    Raises UsageError when `target` exists, or nothing was signed yet.
    Raises LedgerBroken when files of the ledger are missing or damaged, ResourceError when the disk fails.
    """
    signed = ledger.checkpoint()
    if signed is None:
        raise UsageError(
            "the ledger has no checkpoint yet",
            hint="It is signed a few seconds after the first object is sealed.",
        )
    partial = target.with_name(target.name + ".partial")
    for folder in (target, partial):
        if folder.exists():
            raise UsageError(f"{folder} exists", hint="Give the name of a new folder, or remove that one.")
    try:
        partial.mkdir(mode=FOLDER_MODE, parents=True)
        for name, content in _files(ledger, signed.checkpoint.size):
            _write(partial / name, content)
        _write(partial / CHECKPOINT, signed.note)
        durable.sync_tree(partial)
        durable.rename(partial, target)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise ResourceError(
            f"{partial}: {error.strerror or error}", hint="Check space and rights there."
        ) from error
    except LedgerBroken:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return signed.checkpoint


def _files(ledger: LedgerFolder, size: int) -> Iterator[tuple[str, bytes]]:
    for level, count in enumerate(widths(size)):
        for number in range(-(-count // WIDTH)):
            width = min(WIDTH, count - number * WIDTH)
            yield tile_path(level, number, width), tile(ledger.hashes(level, number, width))
            if not level:
                yield bundle_path(number, width), bundle(ledger.bundle(number, width=width))
    for line in ledger.verifier_keys():
        public = public_of(line)
        pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        yield f"signers/{signer_id(public).hex()}.pub", pem
    yield KEYS, "".join(f"{line}\n" for line in ledger.verifier_keys()).encode()
    for stamped in ledger.stamps():
        for suffix in ("checkpoint", "tst"):
            name = f"{STAMPS}/{stamped}.{suffix}"
            yield name, (ledger.path / name).read_bytes()
    yield DOCUMENT, files("gateway.ledger").joinpath(DOCUMENT).read_bytes()


def _write(path: Path, content: bytes) -> None:
    """Raises OSError. The whole folder is synced later."""
    path.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(FILE_MODE)
