"""A file as GDCM shows it; a child that dies counts as a refusal and is started again."""

from __future__ import annotations

import pickle
import select
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from tests.campaigns.differential.readings import Reading, Tree, Value
from tests.docs.tables import REPOSITORY

ANSWER_S = 20.0


class GdcmReader:
    """One long-lived child."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def read(self, path: Path, *, pixels: bool) -> Reading:
        process = self._running()
        assert process.stdin is not None
        try:
            process.stdin.write(f"{int(pixels)} {path}\n".encode())
            process.stdin.flush()
            made: dict[str, Any] = pickle.loads(self._take(self._length()))
        except (BrokenPipeError, EOFError, TimeoutError) as error:
            self.close()
            return Reading(refusal=f"GDCM ended: {type(error).__name__}")
        if not made["ok"]:
            return Reading(refusal="not read")
        buffer = made.get("pixels")
        samples = np.frombuffer(buffer, np.uint8) if buffer else None
        return Reading(tree=_tree(made["elements"]), samples=samples)

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for stream in (self._process.stdin, self._process.stdout):
                if stream is not None:
                    try:
                        stream.close()
                    except BrokenPipeError:
                        continue
            self._process = None

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.campaigns.differential.gdcm_child"],
                cwd=REPOSITORY,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
            )
        return self._process

    def _length(self) -> int:
        return int(struct.unpack("<I", self._take(4))[0])

    def _take(self, size: int) -> bytes:
        assert self._process is not None and self._process.stdout is not None
        taken = b""
        while len(taken) < size:
            ready, _, _ = select.select([self._process.stdout], [], [], ANSWER_S)
            if not ready:
                raise TimeoutError
            piece = self._process.stdout.read(size - len(taken))
            if not piece:
                raise EOFError
            taken += piece
        return taken


def _tree(elements: list[Any]) -> Tree:
    tree: Tree = {}
    for tag, vr, raw, items, fragments in elements:
        inside = None if items is None else [_tree(item) for item in items]
        if tag & 0xFFFF:
            # It does not tell the offset table.
            parts = None if fragments is None else [b"", *fragments]
            tree[tag] = Value(vr, raw=raw, items=inside, fragments=parts)
    return tree
