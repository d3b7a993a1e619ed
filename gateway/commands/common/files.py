"""Which files a command works on, where its outputs go, and how they are read and written.

A folder may come from somebody else, so below it only regular files are read, and no link is followed. Outputs are
complete or not there, and nobody may read them who may not read the input.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from gateway.dicom.inflation import check_inflated
from gateway.dicom.lazy_bytes import ByteSource, pieces
from gateway.errors import InputError, KeyFileError, ResourceError, UnreadableObject, UsageError
from gateway.runtime import durable, real_folders
from gateway.spool.stored import opened

# Permissions of outputs and of folders for them, whatever the input has.
FILE_MODE_MIN, FOLDER_MODE_MIN = 0o600, 0o700
# Why this output can't be written, while others can.
_OF_ONE_OUTPUT = {*real_folders.LINK_ERRORS, errno.EISDIR, errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL}


class NotAFile(InputError):
    """It is a link, a device, a FIFO, a folder that can't be listed: nothing that is read."""

    code = "not-a-file"
    hint = "Give regular files; copy what a link points to."


class OutputRefused(InputError):
    """The output of this one file can't be written where it belongs."""

    code = "output-refused"
    hint = "Look at what lies there; name another output folder."


@dataclass(frozen=True)
class InputFile:
    """One file that a command works on.

    source: the input.
    target: the output; None for commands that write none.
    below: the input folder it was found in; None when it was named itself.
    out: the output folder that `target` is below; None when it was named itself.
    problem: why it is not worked on; empty for a regular file.
    aside: another output, which is no target and no `aside` of another file; None where the command has none.
    """

    source: Path
    target: Path | None = None
    below: Path | None = None
    out: Path | None = None
    problem: str = ""
    aside: Path | None = None


def inputs(given: Path) -> list[InputFile]:
    """The file `given`, or everything below the folder `given` but folders, sorted. Links are not followed.

    Raises UsageError when there are no files.
    Raises ResourceError when the folder cannot be listed.
    """
    if not given.is_dir():
        return [InputFile(given)]
    items, folders = list[InputFile](), [given]
    while folders:
        folder = folders.pop()
        try:
            entries = list(os.scandir(folder))
        except OSError as error:
            if folder == given:
                raise ResourceError(
                    f"can't list {given}: {error.strerror}", hint="Check the permissions."
                ) from error
            items.append(InputFile(folder, below=given, problem=f"can't be listed: {error.strerror}"))
            continue
        for entry in entries:
            path = folder / entry.name
            if entry.is_dir(follow_symlinks=False):
                folders.append(path)
            else:
                items.append(InputFile(path, below=given, problem=_problem(entry)))
    if not items:
        raise UsageError(
            f"there are no files in {given}", hint="Name a DICOM file or a folder that holds some."
        )
    return sorted(items, key=lambda item: item.source)


def inputs_and_outputs(given: Path, out: Path, *, aside: str = "") -> list[InputFile]:
    """The same inputs as `inputs`, each with an output. Relative paths are kept below the folder `out`.

    out: a file or a folder for one input file, a folder for an input folder.
    aside: suffix of the other name that an output may get. It is repeated where the name is that of another output.

    Raises UsageError when an output would replace an input, or when `out` lies inside the input folder.
    Raises ResourceError when a folder cannot be listed.
    """
    if not given.is_dir():
        target = out / given.name if out.is_dir() else out
        if target.exists() and target.samefile(given):
            raise UsageError("the output would replace the input", hint="Name another output file.")
        return [InputFile(given, target, aside=_with_suffix(target, aside))]
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file", hint="For an input folder, name an output folder.")
    if out.resolve().is_relative_to(given.resolve()):
        raise UsageError(f"{out} lies inside the input folder", hint="Name an output folder elsewhere.")
    items = [replace(item, target=out / item.source.relative_to(given), out=out) for item in inputs(given)]
    # It may hold the input folder.
    sources = {given.resolve() / item.source.relative_to(given) for item in items}
    if any(out.resolve() / item.source.relative_to(given) in sources for item in items):
        raise UsageError("an output would replace an input", hint="Name an output folder elsewhere.")
    return _with_asides(items, aside) if aside else items


@contextmanager
def opened_input(item: InputFile, memory_bytes: int) -> Iterator[ByteSource]:
    """The bytes of an input.

    memory_bytes: that working on it may take.
    Raises NotAFile, UnreadableObject, TooMuchMemory, OSError.
    """
    if item.problem:
        raise NotAFile(item.problem)
    try:
        descriptor = real_folders.open_to_read(item.source, below=item.below)
    except OSError as error:
        if item.below is not None and error.errno in real_folders.LINK_ERRORS:
            raise NotAFile("it was made a link meanwhile") from error
        if error.errno == errno.ENXIO:
            raise NotAFile("it is a socket or a device, and no file") from error
        raise
    kind = real_folders.kind_of(os.fstat(descriptor).st_mode)
    if kind != "a file":
        os.close(descriptor)
        raise NotAFile(f"it is {kind}, and no file")
    with ExitStack() as stack:
        try:
            data = stack.enter_context(opened(item.source, descriptor=descriptor))
        except KeyFileError as error:
            raise UnreadableObject(
                "it is an encrypted file of a spool", hint="Get it with: sealgate quarantine export"
            ) from error
        check_inflated(data, memory_bytes=memory_bytes)
        yield data


def write_output(item: InputFile, data: ByteSource, *, aside: bool = False) -> Path | None:
    """Write `data` to the item's target, durably. Others see the old file or the complete new one.

    Folders that are missing are made, like those of the input. The output is never open to more people than the input
    (less what the umask takes away). No link is followed, and none is replaced.

    aside: write it to the item's other output.

    Returns where it is written; None when the item has no target.
    Raises OutputRefused when this output can't be written.
    Raises ResourceError when the disk or the permissions do not allow any.
    """
    target = item.aside if aside else item.target
    if target is None:
        return None
    root = item.out or target.parent
    folders = target.relative_to(root).parts[:-1]
    try:
        root.mkdir(_folder_mode(item, len(folders)), parents=True, exist_ok=True)

        def mode(number: int) -> int:
            return _folder_mode(item, len(folders) - number - 1)

        with real_folders.folder_below(root, folders, mode_of_new=mode) as folder:
            _check_free(folder, target.name)
            durable.replace_in(folder, target.name, pieces(data), mode=_file_mode(item))
    except OSError as error:
        if item.out is not None and error.errno in _OF_ONE_OUTPUT:
            raise OutputRefused(f"can't write {target}: {error.strerror or error}") from error
        hint = "Check the folder's permissions and free space."
        raise ResourceError(f"can't write {target}: {error.strerror or error}", hint=hint) from error
    return target


def _with_suffix(target: Path, suffix: str) -> Path | None:
    return target.with_name(target.name + suffix) if suffix else None


def _with_asides(items: list[InputFile], suffix: str) -> list[InputFile]:
    taken = {item.target for item in items}
    result = []
    for item in items:
        aside = item.target
        while aside is not None and aside in taken:
            aside = _with_suffix(aside, suffix)
        taken.add(aside)
        result.append(replace(item, aside=aside))
    return result


def _check_free(folder: int, name: str) -> None:
    """Raises OutputRefused when something lies there that is no file: to replace a device would break the machine."""
    try:
        mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return
    kind = real_folders.kind_of(mode)
    if kind != "a file":
        raise OutputRefused(f"{name} in the output folder is {kind}")


def _problem(entry: os.DirEntry[str]) -> str:
    try:
        kind = real_folders.kind_of(entry.stat(follow_symlinks=False).st_mode)
    except OSError as error:
        return f"can't be read: {error.strerror}"
    if kind == "a link":
        return "it is a link; links in folders are not followed"
    return "" if kind == "a file" else f"it is {kind}, and no file"


def _file_mode(item: InputFile) -> int:
    """Nobody may read the output who may not read the input."""
    return stat.S_IMODE(item.source.lstat().st_mode) & 0o666 | FILE_MODE_MIN


def _folder_mode(item: InputFile, up: int) -> int:
    """The permissions of the folder so many steps above that of the input."""
    if item.below is None:
        return 0o777
    return stat.S_IMODE(item.source.parents[up].lstat().st_mode) & 0o777 | FOLDER_MODE_MIN
