"""Network namespaces joined by a wire that can be cut: `ip netns` and a veth pair; needs root."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

NOBODY = "02:00:00:00:00:99"  # a hardware address that nobody has: what is sent there vanishes


class Cut(StrEnum):
    LINK_DOWN = "link down"
    SILENT_DROP = "silent drop"


def ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, f"ip {' '.join(words)} (as root?): {done.stderr}"


@dataclass(frozen=True)
class Wire:
    """From this namespace (`near` address) to the namespace `name` (`far` address)."""

    name: str
    near: str
    far: str

    @property
    def inside(self) -> list[str]:
        """What to put before a command that is to run at the far end."""
        return ["ip", "netns", "exec", self.name]

    @property
    def _near_end(self) -> str:
        return f"{self.name}-n"

    @property
    def _far_end(self) -> str:
        return f"{self.name}-f"

    def cut(self, how: Cut) -> None:
        """link down: the far end's interface. silent drop: both ends go on sending, nothing arrives."""
        if how is Cut.LINK_DOWN:
            ip("-n", self.name, "link", "set", self._far_end, "down")
            return
        ip("neigh", "replace", self.far, "lladdr", NOBODY, "dev", self._near_end, "nud", "permanent")
        ip("-n", self.name, "neigh", "replace", self.near, "lladdr", NOBODY, "dev", self._far_end,
           "nud", "permanent")  # fmt: skip

    def mend(self, how: Cut) -> None:
        if how is Cut.LINK_DOWN:
            ip("-n", self.name, "link", "set", self._far_end, "up")
            return
        ip("neigh", "del", self.far, "dev", self._near_end)
        ip("-n", self.name, "neigh", "del", self.near, "dev", self._far_end)

    def slow_down(self, kbit_s: int) -> None:
        """Both directions, so that a transfer lasts long enough to be cut in its middle."""
        rate = ["root", "tbf", "rate", f"{kbit_s}kbit", "burst", "16kb", "latency", "400ms"]
        for prefix, end in (([], self._near_end), (self.inside, self._far_end)):
            subprocess.run([*prefix, "tc", "qdisc", "replace", "dev", end, *rate], check=True, timeout=30)

    def speed_up(self) -> None:
        for prefix, end in (([], self._near_end), (self.inside, self._far_end)):
            subprocess.run([*prefix, "tc", "qdisc", "del", "dev", end, "root"], check=True, timeout=30)


@contextmanager
def wire(number: int) -> Iterator[Wire]:
    """A namespace of its own behind a wire; both are gone afterwards. number: 0..99, for the addresses."""
    name = f"sg{os.getpid() % 100_000}{number:02d}"
    joined = Wire(name, near=f"10.213.{number}.1", far=f"10.213.{number}.2")
    ip("netns", "add", name)
    try:
        ip("link", "add", joined._near_end, "type", "veth", "peer", "name", joined._far_end, "netns", name)
        ip("addr", "add", f"{joined.near}/30", "dev", joined._near_end)
        ip("link", "set", joined._near_end, "up")
        ip("-n", name, "addr", "add", f"{joined.far}/30", "dev", joined._far_end)
        ip("-n", name, "link", "set", joined._far_end, "up")
        ip("-n", name, "link", "set", "lo", "up")
        yield joined
    finally:
        ip("netns", "del", name)
