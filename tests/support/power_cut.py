"""What a disk may hold after a power cut: system calls recorded by strace, replayed up to any point.

The model is stricter than any journaling file system: a file's bytes are safe when an fsync of it has returned, a
name when an fsync of its folder has; everything else may or may not be there, write by write and name by name
(Pillai et al., "All File Systems Are Not Created Equal", OSDI 2014).
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

CALLS = (
    "openat,write,writev,pwrite64,rename,renameat,renameat2,fsync,fdatasync,unlink,unlinkat,link,linkat,"
    "ftruncate,sendto,recvfrom"
)
COMMAND = ("strace", "-f", "-qq", "-yy", "-xx", "-s", "16777216", "-e", f"trace={CALLS}", "-e", "signal=none")

_LINE = re.compile(r"(\d+) +(?:<\.\.\. )?(\w+)(.*)", re.DOTALL)
_FILE = re.compile(r"\d+<([^>]*)>")
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')


@dataclass(frozen=True)
class Call:
    """A finished system call. began: number of calls that had finished when it started."""

    name: str
    arguments: str
    result: int
    began: int

    @property
    def paths(self) -> list[str]:
        """File of the descriptor, or the names given."""
        if self.name in (
            "write",
            "writev",
            "pwrite64",
            "fsync",
            "fdatasync",
            "ftruncate",
            "sendto",
            "recvfrom",
        ):
            found = _FILE.match(self.arguments)
            return [_plain(found[1]).removesuffix(" (deleted)")] if found else []
        return [text.decode(errors="replace") for text in self.texts]

    @property
    def texts(self) -> list[bytes]:
        return [_bytes(text) for text in _TEXT.findall(self.arguments)]

    @property
    def last_number(self) -> int:
        return int(self.arguments.rstrip(" )").rsplit(",", 1)[1])


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


def _plain(text: str) -> str:
    """A name as strace writes it: in hexadecimal, or as it is where it is no name of a file."""
    return _bytes(text).decode(errors="replace") if text.startswith("\\x") else text


def calls(trace: Path) -> Iterator[Call]:
    """Of all processes, in the order in which they finished; failed ones are left out."""
    waiting: dict[str, tuple[str, int]] = {}
    finished = 0
    with trace.open(encoding="latin-1") as lines:
        for line in lines:
            found = _LINE.match(line.rstrip("\n"))
            if not found:
                continue
            process, name, rest = found.groups()
            if rest.endswith("<unfinished ...>"):
                waiting[process] = (rest.removesuffix("<unfinished ...>"), finished)
                continue
            begun = finished
            if rest.startswith(" resumed>"):
                first, begun = waiting.pop(process, ("", finished))
                rest = first + rest.removeprefix(" resumed>")
            arguments, _, result = rest.rpartition(" = ")
            number = result.split(" ")[0].split("<")[0]
            if number.lstrip("-").isdigit() and int(number) >= 0:
                finished += 1
                yield Call(name, arguments.lstrip("("), int(number), begun)


@dataclass
class _File:
    """safe: bytes that survive. unsafe: (offset, data, number of the call) since; data None is a truncation."""

    safe: bytearray = field(default_factory=bytearray)
    unsafe: list[tuple[int, bytes | None, int]] = field(default_factory=list)
    length: int = 0
    written: bytearray = field(default_factory=bytearray)  # as its writers see it

    def content(self, persists: Callable[[], bool]) -> bytes:
        held = bytearray(self.safe)
        for offset, data, _ in self.unsafe:
            if persists():
                _apply(held, offset, data)
        return bytes(held)

    def sync(self, began: int) -> None:
        """What was written before the fsync began is safe."""
        for offset, data, _ in [entry for entry in self.unsafe if entry[2] <= began]:
            _apply(self.safe, offset, data)
        self.unsafe = [entry for entry in self.unsafe if entry[2] > began]


def _apply(held: bytearray, offset: int, data: bytes | None) -> None:
    if data is None:
        del held[offset:]
        return
    if len(held) < offset:
        held.extend(bytes(offset - len(held)))
    held[offset : offset + len(data)] = data


class Disk:
    """One folder tree, as calls change it."""

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self._now: dict[str, _File] = {}
        self._safe: dict[str, _File] = {}
        self._number = 0

    def apply(self, call: Call) -> None:
        self._number += 1
        inside = [path for path in call.paths if path.startswith(self._root)]
        if not inside:
            return
        path = inside[0]
        match call.name:
            case "openat":
                if "O_CREAT" in call.arguments and path not in self._now:
                    self._now[path] = _File()
                if "O_TRUNC" in call.arguments:
                    self._write(path, 0, None)
            case "write" | "writev":
                self._write(path, self._file(path).length, b"".join(call.texts)[: call.result])
            case "pwrite64":
                self._write(path, call.last_number, call.texts[0][: call.result])
            case "ftruncate":
                self._write(path, call.last_number, None)
            case "rename" | "renameat" | "renameat2":
                self._now[inside[1]] = self._now.pop(path)
            case "link" | "linkat":
                self._now[inside[1]] = self._file(path)
            case "unlink" | "unlinkat":
                self._now.pop(path, None)
            case "fsync" | "fdatasync":
                self._sync(path, call.began)

    def _file(self, path: str) -> _File:
        return self._now.setdefault(path, _File())

    def _write(self, path: str, offset: int, data: bytes | None) -> None:
        file = self._file(path)
        file.unsafe.append((offset, data, self._number))
        _apply(file.written, offset, data)
        file.length = offset if data is None else max(file.length, offset + len(data))

    def _sync(self, path: str, began: int) -> None:
        if path in self._now:
            self._now[path].sync(began)
            return
        names = {name for name in (*self._now, *self._safe) if name.rpartition("/")[0] == path.rstrip("/")}
        for name in names:
            if name in self._now:
                self._safe[name] = self._now[name]
            else:
                self._safe.pop(name, None)

    def written(self, path: Path) -> bytes | None:
        """What was written to the file, safe or not."""
        file = self._now.get(str(path))
        return None if file is None else bytes(file.written)

    def write_out(self, target: Path, persists: Callable[[], bool]) -> None:
        """A tree as it may be found. persists: asked for every unsafe write and name, whether it is there."""
        for name in {*self._now, *self._safe}:
            before, after = self._safe.get(name), self._now.get(name)
            file = after if before is after or persists() else before
            if file is not None:
                path = target / Path(name).relative_to(self._root)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(file.content(persists))


def outcomes(seed: int) -> dict[str, Callable[[], bool]]:
    """Nothing unsafe is there, all of it, or any part."""
    draw = random.Random(seed)
    return {"nothing": lambda: False, "everything": lambda: True, "some": lambda: draw.random() < 0.5}
