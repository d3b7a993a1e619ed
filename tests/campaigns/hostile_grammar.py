"""Conversations that break the rules of PS3.7 and PS3.8 in one to four places, drawn from a grammar of mistakes.

Random bytes seldom get past the first length field; these are right except where they are wrong.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable

from tests.support import pdus
from tests.support.pdus import CT, EXPLICIT, IMPLICIT, VERIFICATION, element, item, pdu, pdv, us

UIDS = (
    "",
    "1",
    "1.2.840.10008.1.1 ",
    "1..2",
    "a.b",
    "9" * 64,
    "1." * 200 + "1",
    "\x00\x00",
    "1.2.3\\4.5",
    "../../x",
)
LENGTHS = (0, 1, 2, 5, 0xFFFF, 1 << 20, 0x7FFFFFFF, 0xFFFFFFFF)
COMMAND_FIELDS = (
    0,
    0x0010,
    0x0020,
    0x0021,
    0x0100,
    0x0110,
    0x0120,
    0x0130,
    0x0140,
    0x0150,
    0x0FFF,
    0x8001,
    0xFFFF,
)
PIECES = 40  # of a message that never ends


def conversation(rng: random.Random) -> list[bytes]:
    """What is sent, one piece after the other."""
    request = _associate(rng) if rng.random() < 0.5 else _good_associate()
    pieces = [request]
    for _ in range(rng.randint(1, 3)):
        pieces.append(rng.choice(MESSAGES)(rng))
    pieces.append(pdu(pdus.RELEASE_RQ, bytes(4)))
    if rng.random() < 0.3:
        pieces = _disordered(rng, pieces)
    if rng.random() < 0.3:
        pieces = [_damaged(rng, piece) for piece in pieces]
    return pieces


def _good_associate() -> bytes:
    return pdus.associate_rq(
        [(1, VERIFICATION, [IMPLICIT]), (3, CT, [EXPLICIT, IMPLICIT])], calling="HOSTILE"
    )


def _associate(rng: random.Random) -> bytes:
    contexts = [_context(rng) for _ in range(rng.choice((0, 1, 1, 2, 3, 128, 200)))]
    application = rng.choice((pdus.APPLICATION_CONTEXT, *UIDS))
    items = [item(0x10, application.encode()), *contexts, _user_information(rng)]
    if rng.random() < 0.2:
        rng.shuffle(items)
    if rng.random() < 0.2:
        items.append(item(rng.randrange(256), rng.randbytes(rng.randrange(40)), length=_length(rng, 16)))
    titles = (b"SEALGATE", b"", b"\xff" * 16, b"A\\B", b"NOBODY", b"\0" * 16, b"SEALGATE\r\n")
    body = pdus.associate_body(
        rng.choice(titles),
        rng.choice((b"HOSTILE", b"", b"\xfe\xff", b"x" * 16)),
        items,
        version=rng.choice((1, 1, 1, 0, 2, 0xFFFF)),
        reserved=rng.randbytes(32),
    )
    return pdu(pdus.ASSOCIATE_RQ, body, length=_length(rng, 32))


def _context(rng: random.Random) -> bytes:
    number = rng.choice((1, 3, 5, 0, 2, 255, 254, 1))
    abstract = rng.choice((VERIFICATION, CT, *UIDS))
    syntaxes = rng.choices((IMPLICIT, EXPLICIT, "1.2.840.10008.1.2.4.50", *UIDS), k=rng.choice((0, 1, 2, 30)))
    content = bytes([number, 0, 0, 0]) + item(0x30, abstract.encode("latin-1"), length=_length(rng, 16))
    content += b"".join(item(0x40, one.encode("latin-1"), length=_length(rng, 16)) for one in syntaxes)
    if rng.random() < 0.1:
        content = content[: rng.randrange(len(content))]
    return item(0x20, content, length=_length(rng, 16))


def _user_information(rng: random.Random) -> bytes:
    """PS3.7 annex D: known sub-items with wrong contents, and unknown ones."""
    most = struct.pack(">I", rng.choice((0, 1, 6, 7, 12, 4096, 1 << 31, 0xFFFFFFFF)))
    identity = bytes([rng.randrange(7), 1]) + struct.pack(">H", rng.choice((0, 4, 0xFFFF))) + rng.randbytes(6)
    subitems = [
        item(0x51, most if rng.random() < 0.8 else rng.randbytes(rng.randrange(4))),
        item(0x52, rng.choice(UIDS).encode("latin-1")),
        item(0x53, struct.pack(">HH", rng.choice((0, 1, 0xFFFF)), 1)),
        item(0x54, struct.pack(">H", rng.choice((0, 17, 0xFFFF))) + VERIFICATION.encode() + b"\1\1"),
        item(0x55, rng.randbytes(rng.choice((0, 16, 300)))),
        item(0x56, struct.pack(">H", rng.choice((0, 17, 0xFFFF))) + CT.encode() + rng.randbytes(8)),
        item(0x58, identity),
        item(rng.randrange(256), rng.randbytes(8), length=_length(rng, 16)),
    ]
    chosen = rng.sample(subitems, rng.randint(0, len(subitems)))
    return item(0x50, b"".join(chosen), length=_length(rng, 16))


def _length(rng: random.Random, bits: int) -> int | None:
    """Mostly the right one (None)."""
    if rng.random() < 0.9:
        return None
    return min(rng.choice(LENGTHS), (1 << bits) - 1)


def _command(rng: random.Random) -> bytes:
    """A C-STORE or C-ECHO request with wrong elements."""
    elements = [
        element(0x0002, rng.choice((VERIFICATION, CT, *UIDS)).encode("latin-1")),
        us(0x0100, rng.choice((1, 1, 0x30, *COMMAND_FIELDS))),
        us(0x0110, rng.choice((1, 0, 0xFFFF))),
        us(0x0700, rng.choice((0, 1, 2, 0xFFFF))),
        us(0x0800, rng.choice((0, 0x0101, 0xFFFF))),
        element(0x1000, rng.choice(("1.2.3", *UIDS)).encode("latin-1")),
    ]
    for _ in range(rng.randrange(3)):
        change = rng.randrange(5)
        place = rng.randrange(len(elements))
        if change == 0:
            del elements[place]
        elif change == 1:
            elements.insert(place, elements[rng.randrange(len(elements))])
        elif change == 2:
            elements[place] = element(rng.randrange(0x10000), rng.randbytes(rng.choice((0, 2, 60_000))))
        elif change == 3:
            elements[place] = element(0x0110, b"\1\0", length=rng.choice(LENGTHS))
        else:
            elements[place] = element(rng.randrange(0x10000), b"xx", group=rng.choice((2, 8, 0x10, 0xFFFE)))
        if not elements:
            break
    return pdus.command_set(elements, length=_length(rng, 32))


def _whole_message(rng: random.Random) -> bytes:
    data = rng.choice((None, b"", rng.randbytes(200), element(0x10, b"x", group=0x10) * 20))
    context = rng.choice((1, 3, 3, 5, 0, 2, 255))
    return b"".join(pdus.message(context, _command(rng), data, most=rng.choice((64, 4096, 1 << 16))))


def _good_store(rng: random.Random) -> bytes:
    """Right by the protocol; only its data set is nonsense."""
    command = pdus.store_rq(CT, f"2.25.{rng.randrange(1 << 100)}", rng.randrange(1 << 16))
    return b"".join(pdus.message(3, command, rng.randbytes(rng.choice((0, 1, 500, 200_000)))))


def _odd_pdvs(rng: random.Random) -> bytes:
    values = [
        pdv(
            rng.choice((1, 3, 9)),
            rng.randrange(256),
            rng.randbytes(rng.randrange(60)),
            length=_length(rng, 32),
        )
        for _ in range(rng.randint(0, 4))
    ]
    if rng.random() < 0.3:
        values.append(struct.pack(">I", rng.choice((0, 1))) + b"\1")
    return pdu(pdus.P_DATA, b"".join(values), length=_length(rng, 32))


def _never_ending(rng: random.Random) -> bytes:
    kind = rng.choice((0, pdus.COMMAND))
    return pdu(pdus.P_DATA, pdv(rng.choice((1, 3)), kind, rng.randbytes(2000))) * PIECES


def _endless_command(rng: random.Random) -> bytes:
    """More than any command set may have, and no last fragment."""
    return pdu(pdus.P_DATA, pdv(rng.choice((1, 3)), pdus.COMMAND, rng.randbytes(2000))) * PIECES


def _data_set_of_echo(rng: random.Random) -> bytes:
    """C-ECHO, or a request of storage commitment on a context of another service, with a data set."""
    command = rng.choice((pdus.echo_rq(data_set=True), pdus.action_rq(), pdus.event_report_rq()))
    return b"".join(pdus.message(rng.choice((1, 3)), command, rng.randbytes(rng.choice((0, 2, 50_000)))))


def _without_waiting(rng: random.Random) -> bytes:
    """Several right requests one after the other, before an answer to the first."""
    return b"".join(rng.choice((_good_store(rng), *pdus.message(1, pdus.echo_rq()))) for _ in range(8))


def _data_before_command(rng: random.Random) -> bytes:
    return pdu(pdus.P_DATA, pdv(3, pdus.LAST, rng.randbytes(300)))


def _odd_pdu(rng: random.Random) -> bytes:
    kind = rng.choice((0, *range(1, 8), 8, 0x41, 255))
    return pdu(kind, rng.randbytes(rng.choice((0, 4, 10, 68, 74))), length=_length(rng, 32))


def _other_protocol(rng: random.Random) -> bytes:
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
    return rng.choice((b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", hello + rng.randbytes(40), b"SSH-2.0-x\r\n"))


MESSAGES: tuple[Callable[[random.Random], bytes], ...] = (
    _whole_message,
    _whole_message,
    _good_store,
    _odd_pdvs,
    _never_ending,
    _endless_command,
    _data_set_of_echo,
    _without_waiting,
    _data_before_command,
    _odd_pdu,
    _other_protocol,
)


def _disordered(rng: random.Random, pieces: list[bytes]) -> list[bytes]:
    changed = list(pieces)
    match rng.randrange(3):
        case 0:
            rng.shuffle(changed)
        case 1:
            changed.insert(rng.randrange(len(changed)), rng.choice(pieces))
        case _:
            del changed[rng.randrange(len(changed))]
    return changed


def _damaged(rng: random.Random, piece: bytes) -> bytes:
    """A few bytes changed, taken out or put in; mostly near the beginning, where the headers are."""
    damaged = bytearray(piece)
    for _ in range(rng.randint(0, 3)):
        if not damaged:
            break
        at = rng.randrange(min(len(damaged), rng.choice((8, 100, len(damaged)))))
        match rng.randrange(3):
            case 0:
                damaged[at] = rng.randrange(256)
            case 1:
                del damaged[at : at + rng.randint(1, 8)]
            case _:
                damaged[at:at] = rng.randbytes(rng.randint(1, 8))
    return bytes(damaged)
