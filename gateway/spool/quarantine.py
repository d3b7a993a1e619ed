"""Objects that a person should look at: their bytes as received, and beside them the reason why they are here.

data_dir/quarantine/<spool name>.dcm   the object: a hard link, so that it stays when the spool removes the object
data_dir/quarantine/<spool name>.json  its Note: code words, AE titles, sizes and a pseudonym, no patient data

Only people remove something from here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from gateway.dicom.lazy_bytes import ByteSource
from gateway.errors import ResourceError, UsageError
from gateway.runtime import durable
from gateway.spool.cipher import SpoolKey
from gateway.spool.contract import Spool
from gateway.spool.local import SUFFIX, link_or_copy
from gateway.spool.stored import opened, read_checked

NOTE_SUFFIX = ".json"
UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class Note:
    """Why an object is in quarantine.

    reason: an error code, or a verdict.
    hint: what a person can do.
    at: when it came here, Unix seconds.
    instance: pseudonym of its SOP Instance UID.
    called, calling: AE titles, the receiver's and the sender's.
    action: what was to be done with it: the action of its route, or "refuse".
    job: number of the parked job that prepares it; None: the object was refused, and its sender got a failure.
    bytes: size of the file.
    """

    reason: str
    hint: str
    at: float
    instance: str
    called: str
    calling: str
    action: str
    job: int | None
    bytes: int = 0


@dataclass(frozen=True)
class Entry:
    """An object in quarantine.

    id: its name in the spool.
    note: why it is here.
    """

    id: str
    note: Note


class Quarantine:
    """The quarantine of a data folder. Several processes may use it, also while the gateway runs."""

    def __init__(self, data_dir: Path, *, key: SpoolKey | None = None) -> None:
        """data_dir: the gateway's data folder.
        key: of the spool, by which the objects are encrypted. Only reading needs it.
        """
        self._key = key
        self._folder = data_dir / "quarantine"

    def put(self, spool: Spool, name: str, note: Note) -> None:
        """Take an object of the spool in. Object and note are durable when this returns. Repeats keep the first note.

        Raises ResourceError.
        """
        text = json.dumps(asdict(note))
        try:
            # The note comes first, so that no object is ever without.
            durable.create_at_once(self._folder / (name + NOTE_SUFFIX), [text.encode()], mode=0o666)
        except OSError as error:
            raise ResourceError(f"the quarantine can't be written: {error.strerror}") from error
        spool.quarantine(name)

    def entries(self) -> list[Entry]:
        """All objects, the oldest first. One without a readable note has the reason `unknown`."""
        entries = []
        for path in self._folder.glob("*" + SUFFIX):
            try:
                entries.append(self._entry(path))
            except FileNotFoundError:
                # Another process removed it since the folder was listed.
                continue
        return sorted(entries, key=lambda entry: (entry.note.at, entry.id))

    def find(self, prefix: str) -> Entry:
        """The object whose id begins with `prefix`.

        Raises UsageError unless there is exactly one.
        """
        entries = [entry for entry in self.entries() if prefix and entry.id.startswith(prefix)]
        if len(entries) == 1:
            return entries[0]
        problem = (
            f"{len(entries)} quarantined objects have ids that begin so" if entries else "no such object"
        )
        raise UsageError(f"{prefix[:64]}: {problem}", hint="See them with: sealgate quarantine list")

    def read(self, entry: Entry) -> bytes:
        """Exactly the bytes that were received, in memory.

        Raises FileMissing when the object was removed.
        Raises SpoolCorrupt when its bytes changed.
        Raises KeyFileError when it is encrypted and there is no key.
        """
        return read_checked(self._folder / (entry.id + SUFFIX), self._key)

    def open(self, entry: Entry) -> AbstractContextManager[ByteSource]:
        """The same bytes as `read`, not in memory when the object is large. Raises the same errors."""
        return opened(self._folder / (entry.id + SUFFIX), self._key)

    def remove(self, entry: Entry) -> None:
        """Remove object and note for good. The note goes last, so that no object is ever without."""
        for suffix in (SUFFIX, NOTE_SUFFIX):
            (self._folder / (entry.id + suffix)).unlink(missing_ok=True)

    def copy_to(self, data_dir: Path) -> None:
        """Place objects and notes in the quarantine of another data folder.

        They are hard links, or copies on another disk. They are not synced yet.

        Raises OSError.
        """
        target = Quarantine(data_dir)._folder
        for path in self._folder.iterdir():
            link_or_copy(path, target / path.name)

    def size(self) -> tuple[int, int]:
        """The number of objects, and of their bytes."""
        sizes = list(self._sizes())
        return len(sizes), sum(sizes)

    def _sizes(self) -> Iterator[int]:
        for path in self._folder.glob("*" + SUFFIX):
            try:
                yield path.stat().st_size
            except FileNotFoundError:
                # Another process removed it since the folder was listed.
                continue

    def _entry(self, path: Path) -> Entry:
        """Raises FileNotFoundError when the object is gone."""
        status = path.stat()
        try:
            content = json.loads(path.with_suffix(NOTE_SUFFIX).read_text(encoding="utf-8"))
            note = Note(**{field.name: content[field.name] for field in fields(Note)})
        except (OSError, ValueError, KeyError, TypeError):
            note = Note(
                reason=UNKNOWN,
                hint="",
                at=status.st_mtime,
                instance="",
                called="",
                calling="",
                action="",
                job=None,
            )
        return Entry(path.stem, replace(note, bytes=status.st_size))
