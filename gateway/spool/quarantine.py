"""Objects that a person should look at: their bytes as received, and beside them why they are here.

data_dir/quarantine/<spool name>.dcm   the object: a hard link, so that it stays when the spool lets go of it
data_dir/quarantine/<spool name>.json  its Note: code words, AE titles, sizes and a pseudonym, no patient data

Nothing is ever removed from here but by people.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, fields
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

    reason: an error code, or a verdict. at: Unix seconds. job: the parked job that prepares it; None: it was refused,
    its sender got a failure. instance: pseudonym. bytes: of the file.
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
    """id: its spool name."""

    id: str
    note: Note


class Quarantine:
    """Usable from several processes, and while the gateway runs."""

    def __init__(self, data_dir: Path, *, key: SpoolKey | None = None) -> None:
        """key: of the spool, whose files these are."""
        self._key = key
        self._folder = data_dir / "quarantine"

    def put(self, spool: Spool, name: str, note: Note) -> None:
        """Object and note are durable when this returns. Repeats keep the first note. Raises ResourceError."""
        text = json.dumps(asdict(note))
        try:
            # The note comes first, so that no object is ever without.
            durable.create_at_once(self._folder / (name + NOTE_SUFFIX), [text.encode()], mode=0o666)
        except OSError as error:
            raise ResourceError(f"the quarantine can't be written: {error.strerror}") from error
        spool.quarantine(name)

    def entries(self) -> list[Entry]:
        """Oldest first. An object without a readable note has the reason `unknown`."""
        found = []
        for path in self._folder.glob("*" + SUFFIX):
            try:
                found.append(self._entry(path))
            except FileNotFoundError:  # removed by another process since it was listed
                continue
        return sorted(found, key=lambda entry: (entry.note.at, entry.id))

    def find(self, prefix: str) -> Entry:
        """The one whose id begins so. Raises UsageError unless there is exactly one."""
        found = [entry for entry in self.entries() if prefix and entry.id.startswith(prefix)]
        if len(found) == 1:
            return found[0]
        problem = f"{len(found)} quarantined objects have ids that begin so" if found else "no such object"
        raise UsageError(f"{prefix[:64]}: {problem}", hint="See them with: sealgate quarantine list")

    def read(self, entry: Entry) -> bytes:
        """Exactly the bytes that were received. Raises FileMissing, SpoolCorrupt."""
        return read_checked(self._folder / (entry.id + SUFFIX), self._key)

    def open(self, entry: Entry) -> AbstractContextManager[ByteSource]:
        """What `read` gives; not in memory if it is large. Raises FileMissing, SpoolCorrupt."""
        return opened(self._folder / (entry.id + SUFFIX), self._key)

    def remove(self, entry: Entry) -> None:
        """For good. The note goes last, so that no object is ever without."""
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
        """How many objects, how many bytes."""
        sizes = list(self._sizes())
        return len(sizes), sum(sizes)

    def _sizes(self) -> Iterator[int]:
        for path in self._folder.glob("*" + SUFFIX):
            try:
                yield path.stat().st_size
            except FileNotFoundError:  # removed since it was listed
                continue

    def _entry(self, path: Path) -> Entry:
        """Raises FileNotFoundError when the object is gone."""
        status = path.stat()
        try:
            told = json.loads(path.with_suffix(NOTE_SUFFIX).read_text(encoding="utf-8"))
            known = {field.name: told[field.name] for field in fields(Note)}
        except (OSError, ValueError, KeyError, TypeError):
            known = {"reason": UNKNOWN, "hint": "", "instance": "", "called": "", "calling": "", "action": ""}
            known |= {"at": status.st_mtime, "job": None}
        return Entry(path.stem, Note(**known | {"bytes": status.st_size}))
