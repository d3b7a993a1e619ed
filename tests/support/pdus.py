"""DICOM upper layer PDUs and command sets written byte by byte (PS3.8 9.3, PS3.7 6.3), right ones and wrong ones.

No library stands between a test and the wire, so that any byte can be wrong and nearly all of the time is the peer's.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence
from types import TracebackType
from typing import Self

APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"  # PS3.7 annex A
VERIFICATION = "1.2.840.10008.1.1"
COMMITMENT = "1.2.840.10008.1.20.1"  # Push Model, PS3.4 annex J
CT = "1.2.840.10008.5.1.4.1.1.2"
IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
PDU_BYTES = 64 << 10

ASSOCIATE_RQ, ASSOCIATE_AC, ASSOCIATE_RJ, P_DATA, RELEASE_RQ, RELEASE_RP, ABORT = range(1, 8)
COMMAND, LAST = 1, 2  # bits of the message control header, PS3.8 E.2
NO_DATA_SET = 0x0101
C_STORE_RQ, C_ECHO_RQ, N_EVENT_REPORT_RQ, N_ACTION_RQ = 0x0001, 0x0030, 0x0100, 0x0130

Context = tuple[int, str, Sequence[str]]  # id, abstract syntax, transfer syntaxes


def pdu(kind: int, body: bytes = b"", *, length: int | None = None) -> bytes:
    """length: of the header, when it is not to be that of the body."""
    return struct.pack(">BxI", kind, len(body) if length is None else length) + body


def item(kind: int, content: bytes, *, length: int | None = None) -> bytes:
    return struct.pack(">BxH", kind, len(content) if length is None else length) + content


def context_item(context: Context) -> bytes:
    number, abstract, syntaxes = context
    content = bytes([number, 0, 0, 0]) + item(0x30, abstract.encode())
    return item(0x20, content + b"".join(item(0x40, syntax.encode()) for syntax in syntaxes))


def user_information(*, pdu_bytes: int = PDU_BYTES, extra: bytes = b"") -> bytes:
    return item(0x50, item(0x51, struct.pack(">I", pdu_bytes)) + item(0x52, b"2.25.3") + extra)


def associate_body(
    called: bytes, calling: bytes, items: Sequence[bytes], *, version: int = 1, reserved: bytes = b"\0" * 32
) -> bytes:
    return (
        struct.pack(">H2x16s16s", version, called.ljust(16), calling.ljust(16)) + reserved + b"".join(items)
    )


def associate_rq(
    contexts: Sequence[Context], *, called: str = "SEALGATE", calling: str = "MODALITY", extra: bytes = b""
) -> bytes:
    """extra: further user information items."""
    items = [item(0x10, APPLICATION_CONTEXT.encode()), *map(context_item, contexts)]
    items.append(user_information(extra=extra))
    return pdu(ASSOCIATE_RQ, associate_body(called.encode(), calling.encode(), items))


def element(number: int, value: bytes, *, group: int = 0, length: int | None = None) -> bytes:
    """Implicit VR little endian, as all command elements are."""
    value += b"\0" * (len(value) % 2)
    return struct.pack("<HHI", group, number, len(value) if length is None else length) + value


def us(number: int, value: int) -> bytes:
    return element(number, struct.pack("<H", value))


def command_set(elements: Sequence[bytes], *, length: int | None = None) -> bytes:
    """With its group length (0000,0000)."""
    body = b"".join(elements)
    return element(0, struct.pack("<I", len(body) if length is None else length)) + body


def echo_rq(message_id: int = 1, *, data_set: bool = False) -> bytes:
    """data_set: whether it announces a data set, which a C-ECHO request has not."""
    return command_set(
        [
            element(0x0002, VERIFICATION.encode()),
            us(0x0100, C_ECHO_RQ),
            us(0x0110, message_id),
            us(0x0800, 0 if data_set else NO_DATA_SET),
        ]
    )


def action_rq(message_id: int = 1) -> bytes:
    """A request of storage commitment (PS3.7 table 10.3-7), whose data set follows."""
    return command_set(
        [
            element(0x0003, COMMITMENT.encode()),
            us(0x0100, N_ACTION_RQ),
            us(0x0110, message_id),
            us(0x0800, 0),
            element(0x1001, b"1.2.840.10008.1.20.1.1"),
            us(0x1008, 1),
        ]
    )


def event_report_rq(message_id: int = 1, *, data_set: bool = True) -> bytes:
    """A report of storage commitment (PS3.7 table 10.3-1). data_set: whether one follows."""
    return command_set(
        [
            element(0x0002, COMMITMENT.encode()),
            us(0x0100, N_EVENT_REPORT_RQ),
            us(0x0110, message_id),
            us(0x0800, 0 if data_set else NO_DATA_SET),
            element(0x1000, b"1.2.840.10008.1.20.1.1"),
            us(0x1002, 1),
        ]
    )


def store_rq(sop_class: str, sop_instance: str, message_id: int = 1) -> bytes:
    return command_set(
        [
            element(0x0002, sop_class.encode()),
            us(0x0100, C_STORE_RQ),
            us(0x0110, message_id),
            us(0x0700, 2),
            us(0x0800, 0),
            element(0x1000, sop_instance.encode()),
        ]
    )


def pdv(context: int, control: int, fragment: bytes, *, length: int | None = None) -> bytes:
    return struct.pack(">IBB", len(fragment) + 2 if length is None else length, context, control) + fragment


def message(
    context: int, command: bytes, data_set: bytes | None = None, *, most: int = PDU_BYTES
) -> list[bytes]:
    """The P-DATA-TF PDUs of one DIMSE message."""
    pdus = [pdu(P_DATA, pdv(context, COMMAND | LAST, command))]
    if data_set is not None:
        step = most - 6
        for at in range(0, max(1, len(data_set)), step):
            last = LAST if at + step >= len(data_set) else 0
            pdus.append(pdu(P_DATA, pdv(context, last, data_set[at : at + step])))
    return pdus


def status_of(answer: bytes) -> int | None:
    """The status (0000,0900) in a P-DATA-TF body that holds one response command set."""
    at = answer.find(struct.pack("<HHI", 0, 0x0900, 2))
    return struct.unpack_from("<H", answer, at + 8)[0] if at >= 0 else None


class Wire:
    """A connected socket that speaks in PDUs. OSError (TimeoutError among them) when the peer does not."""

    def __init__(self, port: int, *, source: str = "127.0.0.1", timeout_s: float = 30.0) -> None:
        """source: the loopback address that the peer sees."""
        self.socket = socket.create_connection(
            ("127.0.0.1", port), timeout=timeout_s, source_address=(source, 0)
        )
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, *content: bytes) -> None:
        self.socket.sendall(b"".join(content))

    def receive(self) -> tuple[int, bytes]:
        """Type and body of the next PDU. Raises ConnectionError when the peer hangs up before its end."""
        kind, length = struct.unpack(">BxI", self._exactly(6))
        return kind, self._exactly(length)

    def expect(self, kind: int) -> bytes:
        """Raises ConnectionError for a PDU of another type."""
        found, body = self.receive()
        if found != kind:
            raise ConnectionError(f"PDU {found} instead of {kind}")
        return body

    def reset(self) -> None:
        """Close without a farewell: the peer gets a TCP reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def _exactly(self, count: int) -> bytes:
        content = b""
        while len(content) < count:
            piece = self.socket.recv(count - len(content))
            if not piece:
                raise ConnectionError("the peer hung up")
            content += piece
        return content

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()


def echo(port: int, *, source: str = "127.0.0.1", timeout_s: float = 30.0, calling: str = "HONEST") -> None:
    """A whole association with one C-ECHO. Raises OSError unless it is answered with success."""
    with Wire(port, source=source, timeout_s=timeout_s) as wire:
        wire.send(associate_rq([(1, VERIFICATION, [IMPLICIT])], calling=calling))
        wire.expect(ASSOCIATE_AC)
        wire.send(*message(1, echo_rq()))
        if status_of(wire.expect(P_DATA)) != 0:
            raise ConnectionError("C-ECHO without success")
        wire.send(pdu(RELEASE_RQ, bytes(4)))
        wire.expect(RELEASE_RP)


def refusal(port: int, *, calling: str, called: str = "SEALGATE") -> tuple[int, int, int]:
    """Result, source and reason (PS3.8 9.3.4) with which an association is refused.

    Raises ConnectionError when it is not. (pynetdicom as requestor takes a refusal for a failed connection where its
    thread finds the socket closed already.)
    """
    with Wire(port) as wire:
        wire.send(associate_rq([(1, VERIFICATION, [IMPLICIT])], called=called, calling=calling))
        _, result, source, reason = wire.expect(ASSOCIATE_RJ)
        return result, source, reason


def store_alone(port: int, called: str, sop_class: str, sop_instance: str, data_set: bytes) -> int | None:
    """An association for one object in explicit VR little endian; the status."""
    with Wire(port) as wire:
        wire.send(associate_rq([(1, sop_class, [EXPLICIT])], called=called))
        wire.expect(ASSOCIATE_AC)
        wire.send(*message(1, store_rq(sop_class, sop_instance), data_set))
        status = status_of(wire.expect(P_DATA))
        wire.send(pdu(RELEASE_RQ, bytes(4)))
        wire.expect(RELEASE_RP)
        return status
