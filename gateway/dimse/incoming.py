"""Data sets while they arrive: in memory, or in a file of the spool as soon as they are large."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any, TypeVar

from blake3 import blake3
from pynetdicom.association import Association

from gateway.dicom.file_meta import wrap
from gateway.dicom.lazy_bytes import ByteSource
from gateway.dimse.pynetdicom_private import (
    C_STORE_RQ,
    DIMSEMessage,
    DIMSEServiceProvider,
    accepted_contexts_by_id,
)
from gateway.errors import SpoolFull
from gateway.spool import Draft, Spool
from gateway.spool.stored import IN_MEMORY_BYTES

BEGINNING_BYTES = 1 << 20
# PS3.5 9.1. An object with a longer UID is refused later.
UID_CHARACTERS_MAX = 64
Result = TypeVar("Result")


class Incoming(BytesIO):
    """The data set of one message.

    The thread that reads the socket writes it; afterwards the association's thread uses it.

    size: bytes so far.
    discarded: whether `discard` was called.
    failure: why the data set could not be written to the spool, None while all is well. After a failure the bytes that
    still arrive are dropped.
    """

    def __init__(self, spool: Spool, message: DIMSEMessage, association: Association) -> None:
        super().__init__()
        self.size = 0
        self.discarded = False
        self.failure: SpoolFull | None = None
        self._spool, self._message, self._association = spool, message, association
        self._draft: Draft | None = None
        self._name = ""
        # Where the data set begins in the file.
        self._offset = 0
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
        """The hexadecimal BLAKE3 of transfer syntax and data set, by which a repeated arrival is recognised."""
        return (self._digest if self._draft else _started(syntax).update(self.getvalue())).hexdigest()

    def beginning(self) -> bytes:
        """The data set; if it is large, its first BEGINNING_BYTES."""
        if self._draft is None:
            return self.getvalue()
        return self.read_file(lambda file: file[self._offset : self._offset + BEGINNING_BYTES])

    def read_file(self, read: Callable[[ByteSource], Result], prefix: bytes = b"") -> Result:
        """Return what `read` returns for the file that prefix and data set make.

        prefix: the bytes that precede the data set in that file; a file of the spool has them already.
        Raises SpoolFull when the spool can't be read, and what `read` raises.
        """
        if self._draft is None:
            return read(prefix + self.getvalue())
        try:
            with self._draft.open() as file:
                return read(file)
        except OSError as error:
            raise SpoolFull(f"the spool can't be read: {error.strerror}") from error

    def keep(self, prefix: bytes) -> str:
        """Make prefix and data set durable, and return the name that they have in the spool.

        Raises SpoolFull.
        """
        if self._draft is None:
            return self._spool.put(prefix, self.getvalue())
        self._name = self._name or self._draft.keep()
        return self._name

    def discard(self) -> None:
        """Free the memory, and remove the file in the spool unless it was kept."""
        self.discarded = True
        self.seek(0)
        self.truncate()
        if self._draft is not None and not self._name:
            self._draft.discard()

    def _move_to_file(self) -> Draft:
        """Raises SpoolFull."""
        command, context_id = self._message.command_set, self._message.context_id or 0
        context = accepted_contexts_by_id(self._association)[context_id]
        syntax = str(context.transfer_syntax[0])
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
    """Puts messages together as pynetdicom does, but their data sets need not stay in memory."""

    def __init__(self, association: Association, spool: Spool) -> None:
        super().__init__(association)
        self._spool = spool
        self._incoming: list[Incoming] = []

    def receive_primitive(self, primitive: Any) -> None:
        if self.message is None:
            self.message = DIMSEMessage()
            data_set = Incoming(self._spool, self.message, self.assoc)
            self.message.data_set = data_set
            self._incoming = [*(earlier for earlier in self._incoming if not earlier.discarded), data_set]
        super().receive_primitive(primitive)

    def discard(self) -> None:
        """Discard all data sets, after the association has ended."""
        for data_set in self._incoming:
            data_set.discard()


def _started(syntax: str) -> Any:
    return blake3(syntax.encode() + b"\0")
