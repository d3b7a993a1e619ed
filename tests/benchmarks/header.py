"""What the header costs: milliseconds of its part of sealing and verifying, and bytes that it adds to an object.

    python -m tests.benchmarks.header [--repeats 99] [--objects FOLDER]

One core. The object is a CT slice of 512x512x16 bits with 110 standard and 20 private elements, sequences among them.
Bytes are counted over the objects of a folder: those that the signed header and the header as received take. Prints
Markdown, as kept in docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import statistics
import struct
import tempfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from gateway import keys
from gateway.dicom import one_reading
from gateway.dicom.elements import EXPLICIT_LE, encode, item
from gateway.dicom.part10 import read
from gateway.dicom.tags import MODALITY, PIXEL_DATA
from gateway.errors import InputError
from gateway.seal.block import private_block
from gateway.seal.codec import Codec
from gateway.seal.header import dictionary, received, table
from gateway.seal.header.canonical import is_covered
from tests.benchmarks.codec import milliseconds
from tests.support import objects
from tests.support.data import COLLECTION
from tests.support.desk import Desk

STANDARD, PRIVATE = 110, 20
GOAL_MS, GOAL_BYTES = 3.0, 6000
KEY, SALT = bytes(16), bytes(16)
VALUES = {
    "LO": b"Thorax 1.0 B30f", "SH": b"HOST0001", "PN": b"Doe^Jane", "CS": b"ORIGINAL", "DA": b"20250301",
    "TM": b"101500.123000", "UI": b"1.3.12.2.1107.5.1.4.12345.30000025030108153112300001234", "DS": b"-123.4567",
    "IS": b"512", "US": b"\0\2", "FD": struct.pack("<d", 1.5), "FL": struct.pack("<f", 1.5), "UL": bytes(4),
    "AE": b"CT01",
    "LT": b"comment " * 8, "ST": b"street 1, 10115 Berlin", "AS": b"054Y", "DT": b"20250301101500.123000",
}  # fmt: skip


def slice_with_header() -> bytes:
    """A CT slice whose header has as many elements of each kind as those of large scanners."""
    file = read(objects.ct(rows=512, columns=512))
    edits: dict[int, bytes | None] = {}
    missing = STANDARD - len(file.elements)
    for tag, vr in sorted(dictionary.vrs().items()):
        if (
            missing
            and is_covered(tag)
            and tag not in file.index
            and vr in VALUES
            and tag >> 16 in (0x8, 0x10, 0x18, 0x20)
        ):
            edits[tag] = encode(tag, vr.encode(), VALUES[vr], EXPLICIT_LE)
            missing -= 1
    reference = item(
        encode(0x00081150, b"UI", VALUES["UI"], EXPLICIT_LE)
        + encode(0x00081155, b"UI", VALUES["UI"], EXPLICIT_LE),
        EXPLICIT_LE,
    )
    for tag in (0x00081111, 0x00081140, 0x00082112):
        edits[tag] = encode(tag, b"SQ", reference * 3, EXPLICIT_LE)
    edits[0x00290010] = encode(0x00290010, b"LO", b"VENDOR CSA HEADER", EXPLICIT_LE)
    for number in range(PRIVATE - 2):
        tag = 0x00291001 + number
        edits[tag] = encode(tag, b"LO", VALUES["LO"], EXPLICIT_LE)
    # The largest private elements of a scanner are such dumps.
    edits[0x002910F0] = encode(0x002910F0, b"OB", bytes(range(256)) * 40, EXPLICIT_LE)
    return file.edited(edits)


def print_times(repeats: int) -> None:
    data = slice_with_header()
    file = read(data)
    standard = sum(1 for element in file.elements if not element.group % 2)
    taken, kept = table.take(file, SALT), received.capture(file)
    encoded, element = table.encode(taken), received.close(kept, KEY)
    pixels = file.value(PIXEL_DATA)
    steps: dict[str, tuple[str, Callable[[], object]]] = {
        "check 0": ("one reading", lambda: one_reading.objection(file, dictionary.vrs())),
        "table": ("digest of every element, encoded", lambda: table.encode(table.take(file, SALT))),
        "capture": ("header as received, with the digest of the data set", lambda: received.capture(file)),
        "encryption": ("compressed and encrypted", lambda: received.close(kept, KEY)),
        "proof, table": ("taken again and compared", lambda: table.changes(taken, table.take(file, SALT))),
        "proof, received": (
            "opened, put together, compared with its digest",
            lambda: _comes_back(element, pixels),
        ),
        "verifying": (
            "check 0, signed header read, table taken and compared",
            lambda: (
                one_reading.objection(file, dictionary.vrs()),
                table.changes(table.decode(encoded), table.take(file, SALT)),
            ),
        ),
    }
    found = dict(zip(steps, milliseconds(repeats, *(call for _, call in steps.values())), strict=True))
    print(f"{standard} standard and {len(file.elements) - standard} private elements\n")
    print("| step | ms, median | what it does |\n|---|---|---|")
    for name, (what, _) in steps.items():
        print(f"| {name} | {found[name]:.2f} | {what} |")
    total = sum(took for name, took in found.items() if name != "verifying")
    print(f"| sealing, all | {total:.2f} | goal: at most {GOAL_MS:.0f} |\n")


def _comes_back(element: bytes, pixels: bytes | None) -> None:
    opened = received.open_element(element, KEY)
    whole = opened.assembled(lambda tag: pixels if tag == PIXEL_DATA else bytes(range(256)) * 40)
    if whole is None or not opened.proves(whole):
        raise AssertionError("the data set does not come back")


def added(block: private_block.Block) -> int:
    """Bytes of the private block that version 1 did not have."""
    parts = (block.header, block.received)
    heads = sum(12 + 4 for part in parts if part)
    # Entries 23 to 25 of the statement.
    return heads + sum(len(part) + len(part) % 2 for part in parts) + 36 + 36 + 11


def print_bytes(folder: Path) -> None:
    found: dict[str, list[int]] = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="sealgate-bench-") as made:
        keys.generate(Path(made))
        desk = Desk.of(Path(made), Codec.load(threads=1))
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            try:
                sealed, result = desk.seal(path.read_bytes(), profile="fidelity")
            except InputError:
                continue
            block = private_block.find(read(sealed)) if result.level != "pass" else None
            if block is not None:
                kind = f"{read(sealed).text(MODALITY) or 'no modality'}, {result.level}"
                found[kind].append(added(block))
    print("| objects | number | bytes added: median | p90 | max |\n|---|---|---|---|---|")
    every = [size for sizes in found.values() for size in sizes]
    for kind, sizes in [*sorted(found.items()), ("all", every)]:
        high = sorted(sizes)[min(len(sizes) - 1, int(0.9 * len(sizes)))]
        print(f"| {kind} | {len(sizes)} | {statistics.median(sizes):.0f} | {high} | {max(sizes)} |")
    within = sum(size <= GOAL_BYTES for size in every)
    print(f"\n{within} of {len(every)} objects stay within the goal of {GOAL_BYTES} bytes")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=99)
    parser.add_argument("--objects", type=Path, default=COLLECTION / "dicom")
    given = parser.parse_args()
    print_times(given.repeats)
    print_bytes(given.objects)


if __name__ == "__main__":
    main()
