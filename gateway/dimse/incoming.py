"""Data sets while they arrive: in memory, or in a file of the spool as soon as they are large."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any, TypeVar

from blake3 import blake3
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import C_STORE_RQ, DIMSEMessage

from gateway.dicom.file_meta import wrap
from gateway.dicom.lazy_bytes import ByteSource
from gateway.errors import SpoolFull
from gateway.spool import Draft, Spool
from gateway.spool.stored import IN_MEMORY_BYTES

BEGINNING_BYTES = 1 << 20
UID_CHARACTERS_MAX = 64  # PS3.5 9.1; what is longer is refused later
Result = TypeVar("Result")


class Incoming(BytesIO):
    """The data set of one message. Written by the thread that reads the socket, then used by its association's.

    size: bytes so far. failure: why it could not be written to the spool; what comes after that is dropped.
    """

    def __init__(self, spool: Spool, message: DIMSEMessage, association: Association) -> None:
        super().__init__()
        self.size = 0
        self.discarded = False
        self.failure: SpoolFull | None = None
        self._spool, self._message, self._association = spool, message, association
        self._draft: Draft | None = None
        self._name = ""
        self._offset = 0  # of the data set in the file
        self._digest = blake3()

    def write(self, data: Any, /) -> int:
        self.size += len(data)
        if self.failure is not None:
            return len(data)
        if self._draft is None and (
            self.size <= IN_MEMORY_BYTES or not isinstance(self._message, C_STORE_RQ)
        ):
            return super().write(data)
        try:
            draft = self._draft or self._move_to_file()
            draft.write(data)
            self._digest.update(data)
        except SpoolFull as error:
            self.failure = error
        return len(data)

    def digest(self, syntax: str) -> str:
        """Hexadecimal BLAKE3 of transfer syntax and data set, by which repeated arrivals are known."""
        return (self._digest if self._draft else _started(syntax).update(self.getvalue())).hexdigest()

    def beginning(self) -> bytes:
        """The data set, or if it is large its first BEGINNING_BYTES."""
        if self._draft is None:
            return self.getvalue()
        return self.read_file(lambda file: file[self._offset : self._offset + BEGINNING_BYTES])

    def read_file(self, look: Callable[[ByteSource], Result], prefix: bytes = b"") -> Result:
        """What `look` finds in the file this will be. prefix: what precedes a data set that is in memory."""
        if self._draft is None:
            return look(prefix + self.getvalue())
        try:
            with self._draft.open() as file:
                return look(file)
        except OSError as error:
            raise SpoolFull(f"the spool can't be read: {error.strerror}") from error

    def keep(self, prefix: bytes) -> str:
        """The name in the spool under which prefix and data set are durable. Raises SpoolFull."""
        if self._draft is None:
            return self._spool.put(prefix, self.getvalue())
        self._name = self._name or self._draft.keep()
        return self._name

    def discard(self) -> None:
        """At the end: memory is freed, and what is in the spool goes unless it was kept."""
        self.discarded = True
        self.seek(0)
        self.truncate()
        if self._draft is not None and not self._name:
            self._draft.discard()

    def _move_to_file(self) -> Draft:
        """Raises SpoolFull."""
        command, number = self._message.command_set, self._message.context_id or 0
        syntax = str(self._association._accepted_cx[number].transfer_syntax[0])
        prefix = wrap(
            sop_class=str(command.get("AffectedSOPClassUID", ""))[:UID_CHARACTERS_MAX],
            sop_instance=str(command.get("AffectedSOPInstanceUID", ""))[:UID_CHARACTERS_MAX],
            syntax=syntax,
        )
        draft = self._draft = self._spool.draft()
        self._offset = len(prefix)
        self._digest = _started(syntax).update(self.getvalue())
        draft.write(prefix)
        draft.write(self.getvalue())
        self.seek(0)
        self.truncate()
        return draft


class Messages(DIMSEServiceProvider):
    """Puts messages together as the original does, with data sets that need not stay in memory."""

    def __init__(self, association: Association, spool: Spool) -> None:
        super().__init__(association)
        self._spool = spool
        self._incoming: list[Incoming] = []

    def receive_primitive(self, primitive: Any) -> None:
        if self.message is None:
            self.message = DIMSEMessage()
            data_set = Incoming(self._spool, self.message, self.assoc)
            self.message.data_set = data_set
            self._incoming = [*(one for one in self._incoming if not one.discarded), data_set]
        super().receive_primitive(primitive)

    def discard(self) -> None:
        """After the association."""
        for data_set in self._incoming:
            data_set.discard()


def _started(syntax: str) -> Any:
    return blake3(syntax.encode() + b"\0")
