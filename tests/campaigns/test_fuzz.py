"""Readers of foreign bytes raise what they promise to raise, and nothing else, however long one looks.

SEALGATE_FUZZ_S is the time of each target in the campaign; its corpus stays in .work/campaigns/fuzz and grows.
"""

from __future__ import annotations

import random
import re
import subprocess
import sys
from pathlib import Path

import pytest
from blake3 import blake3
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.dicom.part10 import read
from gateway.keys import Signer
from gateway.keys.roles import HeldSigningKey
from gateway.seal.block import private_block
from gateway.seal.block.amendment import Amendment, Correction, appended
from gateway.seal.header import received, table
from tests.docs.tables import REPOSITORY
from tests.support import objects
from tests.support.campaign import CAMPAIGNS, number, seed, write_figures
from tests.support.data import shipped

TARGETS = (
    "object", "statement", "record", "envelope", "residual", "verify",
    "table", "received", "amendments", "reading", "header", "text",
)  # fmt: skip
SEALED = sorted((REPOSITORY / "tests" / "vectors").glob("*/*.dcm"))
MEMORY_MIB = 2500
# A new process each minute: what atheris instruments keeps some memory of every run, and verifying is a long one
# (the same inputs without atheris keep none).
ROUND_S = 60
STATEMENT = b"a statement"
# With sequences, private blocks and text of several kinds.
HEADERS = [
    path.read_bytes() for path in (shipped("CT_small.dcm"), shipped("test-SR.dcm"), shipped("rtplan.dcm"))
]


def begin(corpus: Path, target: str) -> None:
    """Sealed and other good files, their statements, and for the compact forms what random draws give."""
    corpus.mkdir(parents=True, exist_ok=True)
    files = [path.read_bytes() for path in SEALED]
    made: dict[str, list[bytes]] = {
        "object": [
            *files,
            objects.ct(rows=16, columns=16),
            objects.fundus(rows=16, columns=16),
            objects.report(),
        ],
        "verify": [*files[:8], objects.ct(rows=16, columns=16)],
        "statement": [found.statement for data in files if (found := _block(data))],
        "table": [table.encode(table.take(read(data), bytes(16))) for data in HEADERS],
        "received": [received.pack(received.capture(read(data))) for data in HEADERS],
        "amendments": _amendments(),
        "text": [
            bytes([0]) + "Müller^Élise=山田\\한글".encode(),
            b"\x02\x1b$B;3ED\x1b(B^\x1b)I\xd4\xcf\xc0=\x1b$)C\xb1\xe8",
        ],
    }
    made["reading"] = made["header"] = [*HEADERS, *files[:4]]
    draw = random.Random(1)
    for data in made.get(target, [draw.randbytes(size) for size in (0, 1, 40, 80, 200)]):
        (corpus / blake3(data).hexdigest()[:16]).write_bytes(data)


def _amendments() -> list[bytes]:
    signer = Signer(HeldSigningKey(Ed25519PrivateKey.from_private_bytes(bytes(32))))
    corrected = Correction(0x00100010, b"", bytes(12), "", "DOE^JANE")
    amendment = Amendment(corrections=(corrected,), reason="why", by="who", at=1, signer_id=signer.key_id)
    once = appended(b"", amendment, STATEMENT, signer)
    return [once, appended(once, amendment, STATEMENT, signer)]


def _block(data: bytes) -> private_block.Block | None:
    """None also for vectors that are wrong on purpose."""
    try:
        return private_block.find(read(data))
    except Exception:  # noqa: BLE001 - the corpus takes what is good
        return None


def fuzz(target: str, folder: Path, *limits: str) -> tuple[int, int]:
    """Executions and coverage (counters reached). AssertionError with the finding."""
    corpus = folder / target
    begin(corpus, target)
    command = [sys.executable, "-m", "tests.campaigns.fuzz_format", target, str(corpus), *limits]
    done = subprocess.run(
        [*command, f"-artifact_prefix={folder}/{target}-", f"-rss_limit_mb={MEMORY_MIB}", "-timeout=60"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    assert done.returncode == 0, f"{target}: {done.stdout[-2000:]}{done.stderr[-4000:]}"
    runs = re.findall(r"#(\d+)\s+DONE\s+cov: (\d+)", done.stderr)
    assert runs, done.stderr[-2000:]
    return int(runs[-1][0]), int(runs[-1][1])


@pytest.mark.parametrize("target", TARGETS)
def test_readers_raise_only_what_they_promise(target: str, tmp_path: Path) -> None:
    runs = 200 if target == "verify" else 3000
    executed, coverage = fuzz(target, tmp_path, f"-runs={runs}", f"-seed={seed() + 1}")
    assert executed >= runs
    assert coverage > 0


@pytest.mark.campaign
@pytest.mark.timeout(6 * 3600)
def test_readers_raise_only_what_they_promise_for_hours() -> None:
    seconds = number("SEALGATE_FUZZ_S", 600)
    figures = {}
    for target in TARGETS:
        executed = coverage = 0
        for number_of_round in range(max(1, seconds // ROUND_S)):
            limits = f"-max_total_time={min(seconds, ROUND_S)}", f"-seed={seed() + 1 + number_of_round}"
            runs, coverage = fuzz(target, CAMPAIGNS / "fuzz", *limits)
            executed += runs
        figures[target] = {"executions": executed, "coverage": coverage}
    write_figures("fuzz", seconds_each=seconds, targets=figures)
