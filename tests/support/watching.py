"""What programs write and whom they call, as strace sees it (`deploy/install-peers.sh` installs it)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CALLS = (
    "open,openat,creat,mkdir,mkdirat,rename,renameat,renameat2,link,linkat,symlink,symlinkat,mknod,mknodat,"
    "truncate,unlink,unlinkat,connect,sendto,sendmsg,sendmmsg"
)
# Semaphores of multiprocessing have a name for a moment and hold nothing; the filter is a setting of a process.
NO_FILE = re.compile(r"/dev/shm/sem\.|/dev/null$|/proc/\d+/coredump_filter$")
_LINE = re.compile(r"(\w+)\((.*)\) += (-?\d+)(?:<(.*)>)?")
_NAMED = re.compile(r'(?:(?:AT_FDCWD|\d+)<([^>]*)>, )?"((?:[^"\\]|\\.)*)"')
_ADDRESS = re.compile(r'sin6?_port=htons\((\d+)\).*?(?:inet_addr\("|inet_pton\(AF_INET6, ")([^"]*)"')


@dataclass(frozen=True)
class Watched:
    """folder: where strace writes a file for each process and thread.
    working: the working folder of the program.
    """

    folder: Path
    working: Path

    def command(self, *, in_background: bool = False) -> list[str]:
        """What is put in front of a command.

        in_background: the program keeps the process id; then strace ends a moment after it.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        what = ["-e", f"trace={CALLS}", "-e", "signal=none", "-o", str(self.folder / "trace")]
        return ["strace", *(["-D"] if in_background else []), "-ff", "-q", "-y", *what]

    def changed(self) -> set[str]:
        """Absolute names of files that were opened to be written, and of what was made, renamed or removed."""
        found = set()
        for call, arguments, result, opened in self._calls():
            if call in ("connect", "sendto", "sendmsg", "sendmmsg") or result < 0:
                continue
            if call in ("open", "openat", "creat"):
                if call == "creat" or re.search(r"\bO_(WRONLY|RDWR|CREAT)\b", arguments):
                    found.add(opened)
                continue
            found |= {
                os.path.normpath(Path(base or self.working, name)) for base, name in _NAMED.findall(arguments)
            }
        return {name for name in found if not NO_FILE.match(name)}

    def called(self) -> set[tuple[str, int]]:
        """Addresses and ports to which a connection or a datagram went, whatever became of it.

        Port 0 is nobody: glibc connects a datagram socket to it, and sends nothing, to learn the own address.
        """
        return {
            (address, int(port))
            for call, arguments, _, _ in self._calls()
            if call in ("connect", "sendto", "sendmsg", "sendmmsg")
            for port, address in _ADDRESS.findall(arguments)
            if port != "0"
        }

    def has_ended(self, pid: int) -> bool:
        """Whether all that this process did is written down."""
        path = self.folder / f"trace.{pid}"
        return path.exists() and "+++ exited" in path.read_text(errors="replace")

    def _calls(self) -> Iterator[tuple[str, str, int, str]]:
        for path in sorted(self.folder.glob("trace.*")):
            for line in path.read_text(errors="replace").splitlines():
                match = _LINE.match(line)
                if match:
                    yield match[1], match[2], int(match[3]), match[4] or ""


def outside(names: set[str], *folders: Path) -> set[str]:
    """Those that are neither one of the folders nor below one."""
    return {name for name in names if not any(Path(name).is_relative_to(folder) for folder in folders)}


def environment(home: Path) -> dict[str, str]:
    """Nothing that a developer's machine may have set; CI, for one, switches telemetry off.

    Compiled modules are written when a package is installed, or never.
    """
    home.mkdir(parents=True, exist_ok=True)
    return {"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"}
