"""Attacks on the listening port, each from a loopback address of its own."""

from __future__ import annotations

import random
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from tests.campaigns.hostile_grammar import conversation
from tests.support import pdus
from tests.support.pdus import IMPLICIT, VERIFICATION, Wire

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
    for number in range(count):
        try:
            wire = Wire(port, source=f"127.0.0.{11 + number % 8}", timeout_s=2.0)
            if number % 3:
                wire.send(request)
                wire.expect(pdus.ASSOCIATE_AC)
            rest = (request, *pdus.message(1, pdus.echo_rq()), struct.pack(">BxI", 4, 60_000) + bytes(500))[
                number % 3
            ]
            wires.append((wire, rest))
        except OSError:  # refused: its share of the slots is taken
            continue
    sent = 0
    while time.monotonic() < until:
        for wire, rest in wires:
            _send_quietly(wire, rest[sent : sent + 1])
        sent += 1
        time.sleep(1.0)
    meanwhile()
    for wire, _ in wires:
        wire.socket.close()


def silent(port: int, *, count: int, hold_s: float, meanwhile: Callable[[], None] = _nothing) -> None:
    """Connections that say nothing, from eight addresses; some after an association request.

    meanwhile: called while all of them are open, after `hold_s`.
    """
    held = []
    for number in range(count):
        try:
            wire = Wire(port, source=f"127.0.0.{21 + number % 8}", timeout_s=2.0)
            if number % 2:
                wire.send(pdus.associate_rq([(1, VERIFICATION, [IMPLICIT])], calling="HOSTILE"))
            held.append(wire)
        except OSError:
            continue
    time.sleep(hold_s)
    meanwhile()
    for wire in held:
        wire.socket.close()


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
