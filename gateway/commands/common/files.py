"""Which files a command works on, where its outputs go, and how they are written so that nobody sees half a file."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from gateway.dicom.lazy_bytes import ByteSource, pieces
from gateway.errors import ResourceError, UsageError
from gateway.runtime import durable


@dataclass(frozen=True)
class InputFile:
    """One file that a command works on.

    source: the input.
    target: the output; None for commands that write none.
    """

    source: Path
    target: Path | None = None


def inputs(given: Path) -> list[InputFile]:
    """The file `given`, or every file below the folder `given`, sorted. Links to folders are not followed.

    Raises UsageError when there are no files.
    Raises ResourceError when a folder cannot be listed.
    """
    if not given.is_dir():
        return [InputFile(given)]
    paths = [Path(folder, name) for folder, _, names in os.walk(given, onerror=_raise) for name in names]
    if not paths:
        raise UsageError(
            f"there are no files in {given}", hint="Name a DICOM file or a folder that holds some."
        )
    return [InputFile(path) for path in sorted(paths)]


def inputs_and_outputs(given: Path, out: Path) -> list[InputFile]:
    """The same inputs as `inputs`, each with an output. Relative paths are kept below the folder `out`.

    out: a file or a folder for one input file, a folder for an input folder.

    Raises UsageError when an output would replace an input, or when `out` lies inside the input folder.
    Raises ResourceError when a folder cannot be listed.
    """
    if not given.is_dir():
        target = out / given.name if out.is_dir() else out
        if target.exists() and target.samefile(given):
            raise UsageError("the output would replace the input", hint="Name another output file.")
        return [InputFile(given, target)]
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file", hint="For an input folder, name an output folder.")
    if out.resolve().is_relative_to(given.resolve()):
        raise UsageError(f"{out} lies inside the input folder", hint="Name an output folder elsewhere.")
    return [InputFile(item.source, out / item.source.relative_to(given)) for item in inputs(given)]


def write_atomically(target: Path, data: ByteSource) -> None:
    """Write `data` to `target`, durably. Others see the old file or the complete new one.

    Folders that are missing are made.

    Raises ResourceError when the disk or the permissions do not allow it.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        durable.replace(target, pieces(data), mode=0o666)
    except OSError as error:
        hint = "Check the folder's permissions and free space."
        raise ResourceError(f"can't write {target}: {error.strerror or error}", hint=hint) from error


def _raise(error: OSError) -> None:
    raise ResourceError(
        f"can't list {error.filename}: {error.strerror}", hint="Check the permissions."
    ) from error
