"""Whose wrong tokens are counted, where a caller is, and who waits for whom."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from ipaddress import ip_network

import pytest

from gateway.config.http import HttpSettings
from gateway.web.addresses import caller_address, site
from gateway.web.capacity import Capacity
from gateway.web.errors import Busy
from gateway.web.rate import CALLERS_MAX
from gateway.web.wrong_tokens import WrongTokens

PROXIES = [ip_network("10.0.0.0/24"), ip_network("fd00::/8")]


@dataclass
class Ticks:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def test_addresses_together_are_limited_but_not_one_from_which_a_right_token_came() -> None:
    clock = Ticks()
    wrong = WrongTokens(2, clock)
    assert wrong.begin("192.0.2.99") == 0
    wrong.was_no_guess("192.0.2.99", right=True)
    waits = [wrong.begin(f"198.51.100.{number}") for number in range(30)]
    assert waits[:20] == [0] * 20 and all(waits[20:])
    assert wrong.begin("192.0.2.1") > 0, "another address waits as well"
    assert wrong.begin("192.0.2.99") == 0, "this one is known"
    clock.now += 60
    assert wrong.begin("192.0.2.1") == 0


def test_an_attacker_with_a_whole_ipv6_network_is_one_address() -> None:
    wrong = WrongTokens(1, Ticks())
    assert [wrong.begin(f"2001:db8::{number:x}") > 0 for number in range(3)] == [False, True, True]
    assert wrong.begin("2001:db8:0:1::1") == 0


def test_tokens_that_are_checked_at_the_same_time_are_counted_before_the_answer() -> None:
    wrong = WrongTokens(2, Ticks())
    assert [wrong.begin("192.0.2.1") > 0 for _ in range(3)] == [False, False, True]
    wrong.was_no_guess("192.0.2.1", right=False)
    assert wrong.begin("192.0.2.1") == 0


def test_what_is_remembered_of_addresses_is_bounded() -> None:
    wrong = WrongTokens(1, Ticks())
    for number in range(CALLERS_MAX + 100):
        address = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
        assert wrong.begin(address) == 0
        wrong.was_no_guess(address, right=True)
    assert len(wrong._known) == len(wrong._of_address._buckets) == CALLERS_MAX


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("192.0.2.1", ["203.0.113.9"], "192.0.2.1"),
        ("10.0.0.7", ["203.0.113.9"], "203.0.113.9"),
        ("::ffff:10.0.0.7", ["203.0.113.9"], "203.0.113.9"),
        ("10.0.0.7", ["1.1.1.1, 203.0.113.9, 10.0.0.8"], "203.0.113.9"),
        ("10.0.0.7", ["1.1.1.1", "203.0.113.9"], "203.0.113.9"),
        ("10.0.0.7", ["203.0.113.9, nonsense"], "10.0.0.7"),
        ("10.0.0.7", [], "10.0.0.7"),
        ("10.0.0.7", ["10.0.0.8"], "10.0.0.8"),
        ("fd00::1", ["2001:db8::1"], "2001:db8::1"),
        ("testclient", ["203.0.113.9"], "testclient"),
    ],
)
def test_the_address_is_the_last_that_a_proxy_of_ours_saw(
    peer: str, forwarded: list[str], address: str
) -> None:
    assert caller_address(peer, forwarded, PROXIES) == address


def test_without_proxies_nothing_forwarded_is_believed() -> None:
    assert caller_address("127.0.0.1", ["203.0.113.9"], []) == "127.0.0.1"
    assert site("fe80::1%eth0") == "fe80::/64"


def test_who_waits_gets_the_place_in_turn_and_who_has_the_share_is_passed_over() -> None:
    async def story() -> list[str]:
        capacity, order = Capacity(HttpSettings(concurrent=3)), []
        leave = {name: asyncio.Event() for name in "abcd"}

        async def work(name: str, caller: str) -> None:
            async with capacity.working(caller):
                order.append(name)
                await leave[name].wait()

        tasks = [asyncio.create_task(work(name, "one")) for name in "abc"]
        await asyncio.sleep(0)
        with pytest.raises(Busy):
            capacity.check("one")
        capacity.check("two")
        tasks.append(asyncio.create_task(work("d", "two")))
        await asyncio.sleep(0)
        assert order == ["a", "b", "d"]
        leave["d"].set()
        await tasks[3]
        assert order == ["a", "b", "d"], "a place is free, but not for the caller who has two of three"
        for event in leave.values():
            event.set()
        await asyncio.gather(*tasks)
        capacity.check("one")
        return order

    assert asyncio.run(story()) == ["a", "b", "d", "c"]


def test_who_waits_too_long_or_goes_away_leaves_no_trace() -> None:
    async def story() -> None:
        capacity = Capacity(HttpSettings(concurrent=1, request_timeout_s=0.01))
        async with capacity.working("one"):
            with pytest.raises(Busy):
                async with capacity.working("two"):
                    pass
            waiting = asyncio.create_task(capacity.working("three").__aenter__())
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
        async with capacity.working("two"):
            pass

    asyncio.run(story())


def test_bodies_together_take_no_more_than_their_memory_and_one_caller_not_all_of_it() -> None:
    capacity = Capacity(HttpSettings(concurrent=3, body_bytes_max=1024))
    with (
        capacity.receiving("one") as first,
        capacity.receiving("one") as second,
        capacity.receiving("two") as third,
    ):
        first.grow(1024)
        second.grow(1024)
        with pytest.raises(Busy):
            second.grow(1)
        third.grow(1024)
        with pytest.raises(Busy):
            third.grow(1)
    with capacity.receiving("two") as again:
        again.grow(2048)
