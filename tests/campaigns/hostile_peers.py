"""Attacks on the listening port, each from a loopback address of its own."""

from __future__ import annotations

import random
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from tests.campaigns.hostile_grammar import conversation
from tests.support import pdus
from tests.support.pdus import COMMITMENT, CT, EXPLICIT, IMPLICIT, VERIFICATION, Wire

ANSWER_S = 0.3  # how long an attacker waits for an answer to each piece
THREADS = 6


def fuzz(port: int, *, count: int, first: int = 0, seed: int) -> Counter[str]:
    """`count` conversations, several at a time; how they ended."""
    with ThreadPoolExecutor(THREADS) as pool:
        return Counter(
            pool.map(lambda n: _talk(port, random.Random(seed * 1_000_003 + n)), range(first, first + count))
        )


def _talk(port: int, rng: random.Random) -> str:
    pieces = conversation(rng)
    try:
        with Wire(port, source=f"127.0.0.{rng.randint(2, 9)}", timeout_s=ANSWER_S) as wire:
            for piece in pieces:
                wire.send(piece)
                if rng.random() < 0.5:
                    _drain(wire)
            if rng.random() < 0.3:
                wire.reset()
                return "reset by us"
            return _drain(wire)
    except ConnectionError:
        return "closed by the gateway"
    except TimeoutError:
        return "no connection"


def _drain(wire: Wire) -> str:
    try:
        while wire.socket.recv(4096):
            continue
    except TimeoutError:
        return "left open"
    raise ConnectionError


def huge_lengths(port: int, *, count: int, hold_s: float) -> None:
    """PDU headers that announce up to 4 GiB, before and after an association, a few bytes of it sent."""

    def attack(number: int) -> None:
        with Wire(port, source="127.0.0.10", timeout_s=hold_s) as wire:
            if number % 2:
                wire.send(pdus.associate_rq([(1, VERIFICATION, [IMPLICIT])], calling="HOSTILE"))
                wire.expect(pdus.ASSOCIATE_AC)
            length = (0xFFFFFFFF, 0x7FFFFFFF, 64 << 20, 33 << 20)[number % 4]
            wire.send(pdus.pdu((pdus.ASSOCIATE_RQ, pdus.P_DATA)[number % 2], bytes(1000), length=length))
            _drain_quietly(wire)

    _each(attack, count)


def _nothing() -> None:
    return


def slow_loris(port: int, *, count: int, hold_s: float, meanwhile: Callable[[], None] = _nothing) -> None:
    """`count` connections that send a byte a second of an association request, of a P-DATA header and of a fragment.

    meanwhile: called while all of them are open, after they have sent for `hold_s`.
    """
    request = pdus.associate_rq([(1, VERIFICATION, [IMPLICIT])], calling="HOSTILE")
    until = time.monotonic() + hold_s
    wires: list[tuple[Wire, bytes]] = []
    with ExitStack() as opened:
        for number in range(count):
            try:
                wire = opened.enter_context(Wire(port, source=f"127.0.0.{11 + number % 8}", timeout_s=2.0))
                if number % 3:
                    wire.send(request)
                    wire.expect(pdus.ASSOCIATE_AC)
                header = struct.pack(">BxI", 4, 60_000) + bytes(500)
                wires.append((wire, (request, *pdus.message(1, pdus.echo_rq()), header)[number % 3]))
            except OSError:  # refused: its share of the slots is taken
                continue
        sent = 0
        while time.monotonic() < until:
            for wire, rest in wires:
                _send_quietly(wire, rest[sent : sent + 1])
            sent += 1
            time.sleep(1.0)
        meanwhile()


def silent(port: int, *, count: int, hold_s: float, meanwhile: Callable[[], None] = _nothing) -> None:
    """Connections that say nothing, from eight addresses; some after an association request.

    meanwhile: called while all of them are open, after `hold_s`.
    """
    with ExitStack() as opened:
        for number in range(count):
            try:
                wire = opened.enter_context(Wire(port, source=f"127.0.0.{21 + number % 8}", timeout_s=2.0))
                if number % 2:
                    wire.send(pdus.associate_rq([(1, VERIFICATION, [IMPLICIT])], calling="HOSTILE"))
            except OSError:
                continue
        time.sleep(hold_s)
        meanwhile()


def associations(port: int, *, count: int) -> Counter[str]:
    """One C-ECHO each, one after the other and a few at a time."""

    def attack(number: int) -> str:
        try:
            pdus.echo(port, source=f"127.0.0.{31 + number % 4}", calling="HOSTILE")
        except OSError as error:
            return type(error).__name__
        return "answered"

    with ThreadPoolExecutor(4) as pool:
        return Counter(pool.map(attack, range(count)))


def _each(attack: Callable[[int], None], count: int) -> None:
    def quietly(number: int) -> None:
        try:
            attack(number)
        except OSError:  # refused or cut off, as it should be
            return

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(quietly, range(count)))


def _drain_quietly(wire: Wire) -> None:
    try:
        _drain(wire)
    except ConnectionError:
        return


def _send_quietly(wire: Wire, content: bytes) -> None:
    try:
        wire.socket.send(content, socket.MSG_NOSIGNAL)
    except OSError:
        return


def endless_commands(port: int, *, count: int, bytes_each: int) -> Counter[str]:
    """Command sets of which every fragment says that another one follows (PS3.8 E.2)."""
    piece = pdus.pdu(pdus.P_DATA, pdus.pdv(1, pdus.COMMAND, bytes(60_000)))
    return _flood(port, 41, [(1, VERIFICATION, [IMPLICIT])], [], piece, count=count, bytes_each=bytes_each)


def unwanted_data_sets(port: int, *, count: int, bytes_each: int) -> Counter[str]:
    """Data sets that never end: of C-ECHO, which has none, of storage commitment, and without a command set."""
    piece = pdus.pdu(pdus.P_DATA, pdus.pdv(1, 0, bytes(60_000)))
    endings: Counter[str] = Counter()
    for number, (sop_class, command) in enumerate(
        (
            (VERIFICATION, pdus.echo_rq(data_set=True)),
            (COMMITMENT, pdus.action_rq()),
            (COMMITMENT, pdus.event_report_rq()),
            (VERIFICATION, pdus.action_rq()),
            (VERIFICATION, None),
        )
    ):
        begin = pdus.message(1, command) if command is not None else []
        endings += _flood(
            port, 51 + number, [(1, sop_class, [IMPLICIT])], begin, piece, count=count, bytes_each=bytes_each
        )
    return endings


def unanswered_requests(port: int, *, count: int, messages: int, data_set: bytes) -> None:
    """C-STORE requests, and C-ECHO requests after them, one after the other on `count` associations: no answer is read.

    Returns when all are sent, or the gateway takes no more of them for so long that it has to be asked for answers.
    """

    def attack(number: int) -> None:
        contexts = [(1, VERIFICATION, [IMPLICIT]), (3, CT, [EXPLICIT])]
        with Wire(port, source="127.0.0.61", timeout_s=10.0) as wire:
            wire.send(pdus.associate_rq(contexts, calling="HOSTILE"))
            wire.expect(pdus.ASSOCIATE_AC)
            for message_id in range(messages):
                wire.send(*pdus.message(3, pdus.store_rq(CT, f"2.25.{number}", message_id), data_set))
            wire.send(*pdus.message(1, pdus.echo_rq()) * 10_000)

    _each(attack, count)


def _flood(
    port: int,
    host: int,
    contexts: Sequence[pdus.Context],
    begin: Sequence[bytes],
    piece: bytes,
    *,
    count: int,
    bytes_each: int,
) -> Counter[str]:
    """The same piece again and again on `count` associations, until `bytes_each` are sent or the gateway hangs up.

    host: last number of the loopback address from which they come.
    """

    def attack(_number: int) -> str:
        try:
            with Wire(port, source=f"127.0.0.{host}", timeout_s=10.0) as wire:
                wire.send(pdus.associate_rq(contexts, calling="HOSTILE"))
                wire.expect(pdus.ASSOCIATE_AC)
                wire.send(*begin)
                for _ in range(bytes_each // len(piece)):
                    wire.send(piece)
                return "all was taken"
        except ConnectionError:
            return "closed by the gateway"
        except TimeoutError:
            return "held back"

    with ThreadPoolExecutor(THREADS) as pool:
        return Counter(pool.map(attack, range(count)))
