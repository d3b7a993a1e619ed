"""What a spool promises: objects by name, durable as soon as they have a name, never changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Protocol

from gateway.dicom.lazy_bytes import ByteSource


class Draft(Protocol):
    """An object that is being written. It is gone without a trace unless it is kept. For one thread at a time."""

    def write(self, data: bytes) -> None:
        """Append `data`.

        Raises SpoolFull; then the draft is gone.
        """

    def open(self) -> AbstractContextManager[ByteSource]:
        """All that was written, to be read. After that nothing can be written any more.

        Raises SpoolFull when the last bytes cannot be written; then the draft is gone.
        Raises OSError when it cannot be read.
        """

    def keep(self) -> str:
        """Make the object durable, bytes and name.

        Returns its name in the spool.
        Raises SpoolFull; then the draft is gone.
        """

    def discard(self) -> None:
        """Drop what was written. Repeats change nothing, and nothing happens after `keep`."""


class Spool(Protocol):
    """Objects until they are delivered everywhere. Safe from several threads and processes.

    A name belongs to one content for ever, tells nothing of it, and two objects with one content have two names.
    """

    def put(self, *parts: ByteSource) -> str:
        """Keep the joined parts as one object. It is durable, bytes and name, when this returns.

        Returns its name.
        Raises SpoolFull; then nothing was kept.
        """

    def draft(self) -> Draft:
        """Begin an object that is written bit by bit.

        Raises SpoolFull.
        """

    def open(self, name: str) -> AbstractContextManager[ByteSource]:
        """The bytes that were put. A large object is not read into memory.

        Raises FileMissing when there is no such object.
        Raises SpoolCorrupt when its bytes are not those that were put.
        Raises KeyFileError when it is encrypted, and this spool has no key.
        """

    def read(self, name: str) -> bytes:
        """All bytes that were put, in memory. Raises the same as `open`."""

    def size(self, name: str) -> int:
        """Bytes that the object takes in the spool.

        Raises FileMissing when there is no such object.
        """

    def check(self, name: str) -> int:
        """Read the whole object, as `open` does, but without a key.

        Returns the bytes that it takes in the spool.
        Raises FileMissing when there is no such object.
        Raises SpoolCorrupt when its bytes are not those that were put.
        """

    def remove(self, names: Iterable[str]) -> None:
        """Remove objects. Names of no object are passed over.

        What cannot be removed now, for example on a disk that turned read-only, stays: nothing is raised.
        """

    def quarantine(self, name: str) -> None:
        """Hold the bytes a second time, in the quarantine, where they stay when `name` is removed.

        Durable when this returns. Repeats change nothing.

        Raises SpoolFull when there is no such object, or the quarantine cannot be written.
        """

    def names(self, *, older_than_s: float | None = None) -> Iterator[str]:
        """The names of all complete objects, in no order.

        older_than_s: only objects that were put at least that long ago, seconds; None: all.
        """

    def clear_drafts(self) -> int:
        """At start, when nobody else uses the spool: drop the drafts that the last run left behind.

        Returns how many there were.
        """

    def free_bytes(self) -> int:
        """Bytes that can still be put."""

    def has_room(self) -> bool:
        """Whether there is as much room as the configuration asks for. Without it nothing is put."""

    def writable(self) -> bool:
        """Whether something can be written now: a disk that turned read-only after an error still has room."""
