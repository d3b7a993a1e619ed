"""The loop of a service thread: when it turns, waits, pauses and ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from gateway.runtime.loop import Next, WorkLoop
from gateway.runtime.wakeup import Wakeup

LONG_S = 30.0
SOON_S = 5.0


class Running:
    """A loop in a thread. turn: gets the number of the turn, from 1."""

    def __init__(
        self, turn: Callable[[int], Next], *, wait_s: float = LONG_S, pause_s: float = LONG_S
    ) -> None:
        self.wakeup, self.errors, self.turns = Wakeup(), list[Exception](), 0
        self.loop = WorkLoop(self.wakeup, wait_s=wait_s, pause_s=pause_s, on_error=self.errors.append)
        self._turn = turn
        self.thread = threading.Thread(target=self.loop.run, args=(self._count,), daemon=True)
        self.thread.start()

    def _count(self) -> Next:
        self.turns += 1
        return self._turn(self.turns)

    def until(self, reached: Callable[[], bool]) -> None:
        deadline = time.monotonic() + SOON_S
        while not reached():
            assert time.monotonic() < deadline
            time.sleep(0.005)

    def ends(self) -> bool:
        self.thread.join(SOON_S)
        return not self.thread.is_alive()


@pytest.fixture
def running() -> Iterator[Callable[..., Running]]:
    started: list[Running] = []

    def start(turn: Callable[[int], Next], **times: float) -> Running:
        started.append(Running(turn, **times))
        return started[-1]

    yield start
    for loop in started:
        loop.loop.stop()
        assert loop.ends()


Start = Callable[..., Running]


def test_while_there_is_work_turns_follow_at_once(running: Start) -> None:
    loop = running(lambda number: Next.AGAIN if number < 100 else Next.WAIT)
    loop.until(lambda: loop.turns == 100)


def test_a_notification_ends_the_wait(running: Start) -> None:
    loop = running(lambda _: Next.WAIT)
    loop.until(lambda: loop.turns == 1)
    loop.wakeup.notify()
    loop.until(lambda: loop.turns == 2)


def test_a_notification_during_a_turn_is_not_lost(running: Start) -> None:
    notified = threading.Event()

    def turn(_: int) -> Next:
        notified.wait(SOON_S)
        return Next.WAIT

    loop = running(turn)
    loop.until(lambda: loop.turns == 1)
    loop.wakeup.notify()
    notified.set()
    loop.until(lambda: loop.turns == 2)


def test_the_wait_ends_without_a_notification_as_well(running: Start) -> None:
    loop = running(lambda _: Next.WAIT, wait_s=0.01)
    loop.until(lambda: loop.turns >= 3)


def test_rest_is_not_ended_by_a_notification(running: Start) -> None:
    loop = running(lambda _: Next.REST)
    loop.until(lambda: loop.turns == 1)
    loop.wakeup.notify()
    time.sleep(0.1)
    assert loop.turns == 1


def test_an_error_is_told_and_after_a_pause_the_loop_goes_on(running: Start) -> None:
    def turn(number: int) -> Next:
        if number < 3:
            raise ValueError(number)
        return Next.WAIT

    loop = running(turn, pause_s=0.01)
    loop.until(lambda: loop.turns == 3)
    assert [str(error) for error in loop.errors] == ["1", "2"]


def test_stop_ends_a_wait_a_rest_and_a_pause_at_once(running: Start) -> None:
    def fails(_: int) -> Next:
        raise ValueError

    for turn in (lambda _: Next.WAIT, lambda _: Next.REST, fails):
        loop = running(turn)
        loop.until(lambda loop=loop: loop.turns == 1)  # type: ignore[misc]
        loop.loop.stop()
        assert loop.ends()
        assert loop.turns == 1
