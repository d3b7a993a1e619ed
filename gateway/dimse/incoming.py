"""Messages while they arrive, within the limits of `gateway.dimse.terms`.

Data sets are in memory, or in a file of the spool as soon as they are large or memory is short. What a peer sends
before it has got its answer stays in its own buffers: nothing is read from the socket meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any, TypeVar

from blake3 import blake3
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_FIND, C_GET, C_MOVE

from gateway.dicom.file_meta import wrap
from gateway.dicom.lazy_bytes import ByteRange, ByteSource
from gateway.dimse.pynetdicom_private import (
    C_STORE_RQ,
    COMMAND,
    DIMSEMessage,
    FragmentServiceProvider,
    accepted_contexts_by_id,
    has_no_data_set,
)
from gateway.dimse.terms import COMMAND_BYTES_MAX, MemoryBudget, MessageTerms
from gateway.errors import ProtocolBroken, SpoolFull
from gateway.spool import Draft, Spool
from gateway.spool.stored import IN_MEMORY_BYTES

# Requests that may be cancelled, and so are answered while more is read.
CANCELLABLE = (C_FIND, C_GET, C_MOVE)
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
    is_unwanted: set when the request will be refused whatever it brings: the bytes that arrive are dropped.
    """

    def __init__(
        self, spool: Spool, message: DIMSEMessage, association: Association, memory: MemoryBudget
    ) -> None:
        super().__init__()
        self.size = 0
        self.discarded = False
        self.failure: SpoolFull | None = None
        self.is_unwanted = False
        self._spool, self._message, self._association = spool, message, association
        self._memory, self._taken = memory, 0
        self._draft: Draft | None = None
        self._name = ""
        # Where the data set begins in the file.
        self._offset = 0
        self._digest = blake3()

    def write(self, data: Any, /) -> int:
        self.size += len(data)
        if self.failure is not None or self.is_unwanted:
            return len(data)
        if self._draft is None and self._has_room_for(len(data)):
            return super().write(data)
        try:
            draft = self._draft or self._move_to_file()
            draft.write(data)
            self._digest.update(data)
        except SpoolFull as error:
            self.failure = error
        return len(data)

    def _has_room_for(self, count: int) -> bool:
        """Whether the data set may stay in memory with `count` more bytes. Those of other requests are small."""
        if not isinstance(self._message, C_STORE_RQ):
            return True
        if self.size > IN_MEMORY_BYTES or not self._memory.take(count):
            return False
        self._taken += count
        return True

    def digest(self, syntax: str) -> str:
        """The hexadecimal BLAKE3 of transfer syntax and data set, by which a repeated arrival is recognised."""
        return (self._digest if self._draft else _started(syntax).update(self.getvalue())).hexdigest()

    def looked_at(self, look: Callable[[ByteSource], Result]) -> Result:
        """Return what `look` returns for the data set.

        Raises SpoolFull when the spool can't be read, and what `look` raises.
        """
        if self._draft is None:
            return look(self.getvalue())
        try:
            with self._draft.open() as file:
                return look(ByteRange(file, self._offset, len(file)))
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
        self._empty()
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
        self._empty()
        return draft

    def _empty(self) -> None:
        """Free the memory."""
        self.seek(0)
        self.truncate()
        self._memory.give_back(self._taken)
        self._taken = 0


class Messages(FragmentServiceProvider):
    """Puts the messages of one association together, one at a time, within the limits."""

    def __init__(
        self, association: Association, *, spool: Spool, memory: MemoryBudget, terms: MessageTerms
    ) -> None:
        """spool, memory: for the data sets of all associations."""
        super().__init__(association)
        self._spool, self._memory, self._terms = spool, memory, terms
        self._may_store: Callable[[str], bool] = lambda _sop_class: False
        self._incoming: list[Incoming] = []
        # Of the message that is being put together: bytes so far, and the most of its data set once that is known.
        self._command_bytes, self._data_bytes = 0, 0
        self._has_command = False
        self._data_bytes_max: int | None = None
        # Whether the association's thread answers a request.
        self._answers = False

    def let_in(self, may_store: Callable[[str], bool]) -> None:
        """may_store: whether the peer may store objects of this SOP class. The data sets of others are dropped."""
        self._may_store = may_store

    @property
    def is_busy(self) -> bool:
        """Whether a message waits, or a request is being answered that none may follow before (PS3.7 D.3.3.3)."""
        return self._answers or self.has_message

    def get_msg(self, block: bool = False) -> Any:
        # Set before the message leaves the queue, so that `is_busy` has no gap. Who waits for a response reads on.
        self._answers = not block
        context_id, message = super().get_msg(block)
        self._answers = (
            message is not None
            and message.MessageIDBeingRespondedTo is None
            and not isinstance(message, CANCELLABLE)
        )
        return context_id, message

    def send_msg(self, primitive: Any, context_id: int) -> None:
        super().send_msg(primitive, context_id)
        # The next request may follow the answer at once.
        self._answers = False

    def begin(self) -> DIMSEMessage:
        message = DIMSEMessage()
        message.data_set = data_set = Incoming(self._spool, message, self.assoc, self._memory)
        self._incoming = [*(earlier for earlier in self._incoming if not earlier.discarded), data_set]
        self._command_bytes, self._data_bytes = 0, 0
        self._has_command, self._data_bytes_max = False, None
        return message

    def on_fragment(self, context_id: int, control: int, size: int) -> None:  # noqa: ARG002 - of the base class
        """Raises ProtocolBroken."""
        if bool(control & COMMAND) is self._has_command:
            raise ProtocolBroken("the peer sent fragments of command set and data set in a wrong order")
        if control & COMMAND:
            # Empty fragments count as well, or they could come for ever.
            self._command_bytes += size + 1
            if self._command_bytes > COMMAND_BYTES_MAX:
                raise ProtocolBroken(f"the peer sent a command set of more than {COMMAND_BYTES_MAX} bytes")
            return
        self._data_bytes += size
        if self._data_bytes_max is not None and self._data_bytes > self._data_bytes_max:
            raise ProtocolBroken(
                f"the peer sent a data set of more than {self._data_bytes_max} bytes with a request of this kind"
            )

    def on_command(self, message: DIMSEMessage, context_id: int) -> None:
        """Raises ProtocolBroken."""
        context = accepted_contexts_by_id(self.assoc).get(context_id)
        self._has_command = True
        self._data_bytes_max = self._terms.data_set_bytes_max(
            message, None if context is None else str(context.abstract_syntax)
        )
        if not isinstance(message.data_set, Incoming):
            return
        if has_no_data_set(message):
            message.data_set.discard()
        if isinstance(message, C_STORE_RQ):
            sop_class = str(message.command_set.get("AffectedSOPClassUID", ""))
            message.data_set.is_unwanted = not self._may_store(sop_class)

    def discard(self) -> None:
        """Discard all data sets, after the association has ended."""
        for data_set in self._incoming:
            data_set.discard()
        self.message = None


def _started(syntax: str) -> Any:
    return blake3(syntax.encode() + b"\0")
