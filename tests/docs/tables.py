"""The generated tables of the documents: `python -m tests.docs.tables` writes them anew."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable
from pathlib import Path

from pydicom.uid import UID
from pynetdicom import ALL_TRANSFER_SYNTAXES

from gateway.dicom.syntaxes import TABLE, syntax_of
from gateway.dimse import statuses
from gateway.observe.metrics import METRICS
from gateway.seal import eligibility
from gateway.seal.block import private_block
from gateway.seal.codec import ldpc
from tests.unit.test_house import FLOORS, PACKAGE

REPOSITORY = Path(__file__).parents[2]
PAGES = (
    *(REPOSITORY / "docs" / name for name in ("architecture.md", "conformance.md", "operations.md")),
    REPOSITORY / "gateway" / "seal" / "codec" / "CODEC.md",
)

# element of the private block -> (VR, what it holds)
PRIVATE_ELEMENTS = {
    private_block.VERSION: ("LO", "version of the format"),
    private_block.LEVEL: ("LO", "level: FULL or DIGEST"),
    private_block.DIGEST: ("LO", "BLAKE3 of what the seal covers, 64 hexadecimal characters"),
    private_block.STATEMENT: ("OB", "what the gateway vouches for"),
    private_block.SIGNATURE: ("OB", "Ed25519 signature of the statement"),
    private_block.TILES: ("OB", "digests of the tiles of the pixel data"),
    private_block.RESTORING: ("OB", "encrypted: what undoes the change of the pixels"),
    private_block.ENVELOPE: ("OB", "the encrypted record, where the pixels do not hold it"),
    private_block.HEADER: ("OB", "keyed digests of the elements of the header"),
    private_block.RECEIVED: ("OB", "encrypted: the header as it was received"),
    private_block.AMENDMENTS: ("OB", "signed corrections, where somebody amended"),
}


def transfer_syntaxes() -> Iterable[str]:
    yield "| transfer syntax | UID | pixels |"
    yield "|---|---|---|"
    for uid in sorted(
        set(ALL_TRANSFER_SYNTAXES) | {row.uid for row in TABLE.values() if row.reversible}, key=_numbers
    ):
        syntax = syntax_of(uid)
        pixels = "sealed" if syntax.reversible else "untouched, lossy" if syntax.lossy else "untouched"
        yield f"| {UID(uid).name} | {uid} | {pixels} |"


def sealed_classes() -> Iterable[str]:
    yield "| SOP class | UID |"
    yield "|---|---|"
    for uid in eligibility.table()["images"]:
        yield f"| {UID(uid).name} | {uid} |"


def kept_classes() -> Iterable[str]:
    yield "| SOP class | UID | reason |"
    yield "|---|---|---|"
    for uid, reason in eligibility.table()["kept"].items():
        yield f"| {UID(uid).name} | {uid} | {reason} |"


def layouts() -> Iterable[str]:
    rules = eligibility.table()
    limits = rules["limits"]
    yield "| what | allowed | otherwise |"
    yield "|---|---|---|"
    allowed = [name for name, rule in rules["photometric"].items() if rule == "allowed"]
    refused = sorted({rule for rule in rules["photometric"].values() if rule != "allowed"})
    yield f"| Photometric Interpretation | {', '.join(allowed)} | {', '.join(refused)} |"
    yield "| Bits Allocated | 8, 16 | bit-depth, one-bit |"
    yield f"| Bits Stored | {limits['stored_bits_min']} to {limits['stored_bits_max']} | bit-depth |"
    yield f"| Rows, Columns | at least {limits['edge_min']} | too-small |"
    yield f"| samples in one object | at most {limits['samples_max']} | too-large |"
    modalities = ", ".join(rules["modalities"])
    reasons = ", ".join(sorted(set(rules["modalities"].values())))
    yield f"| Modality | all but {modalities} | {reasons} |"


def private_dictionary() -> Iterable[str]:
    yield "| tag | VR | VM | contents |"
    yield "|---|---|---|---|"
    yield f"| ({private_block.GROUP:04X},00xx) | LO | 1 | private creator `{private_block.CREATOR.decode()}` |"
    for element, (vr, contents) in PRIVATE_ELEMENTS.items():
        yield f"| ({private_block.GROUP:04X},xx{element:02X}) | {vr} | 1 | {contents} |"


def metrics() -> Iterable[str]:
    yield "| metric | kind | labels | meaning |"
    yield "|---|---|---|---|"
    for metric in METRICS:
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        yield f"| `{metric.name}` | {metric.kind} | {labels} | {metric.help} |"


def forward_statuses() -> Iterable[str]:
    yield "| status | says | follows | hint |"
    yield "|---|---|---|---|"
    follows = {"delivered": "delivered", "try-again": "tried again with growing delay", "refused": "parked"}
    for row in statuses.TABLE:
        codes = f"{row.first:04X}" if row.first == row.last else f"{row.first:04X} to {row.last:04X}"
        yield f"| {codes} | {row.text} | {follows[row.meaning.value]} | {row.hint} |"
    other = statuses.UNLISTED
    yield f"| any other | {other.text} | {follows[other.meaning.value]} | {other.hint} |"


def floors() -> Iterable[str]:
    yield "| floor | room | holds |"
    yield "|---|---|---|"
    for number, rooms in enumerate(FLOORS, 1):
        for room in rooms:
            module = PACKAGE / f"{room}.py"
            if module.exists():
                yield f"| {number} | `{module.name}` | {described(module)} |"
                continue
            for path in sorted((PACKAGE / room).rglob("__init__.py")):
                folder = path.parent.relative_to(PACKAGE).as_posix()
                yield f"| {number} | `{folder}/` | {described(path)} |"


def shifts() -> Iterable[str]:
    """The table of the LDPC code: in each row the columns with their shifts."""
    rows: dict[int, list[str]] = {}
    for row, column, shift in ldpc.SHIFTS:
        rows.setdefault(row, []).append(f"{column}, {shift}")
    yield "| row |" + " column, shift |" * len(rows[0])
    yield "|---" * (1 + len(rows[0])) + "|"
    for row, pairs in rows.items():
        yield f"| {row} | {' | '.join(pairs)} |"


def described(path: Path) -> str:
    """The first paragraph of a module's docstring, in one line."""
    text = ast.get_docstring(ast.parse(path.read_text())) or ""
    return " ".join(text.partition("\n\n")[0].split())


TABLES: dict[str, Callable[[], Iterable[str]]] = {
    "transfer-syntaxes": transfer_syntaxes,
    "sealed-classes": sealed_classes,
    "kept-classes": kept_classes,
    "layouts": layouts,
    "private-dictionary": private_dictionary,
    "metrics": metrics,
    "statuses": forward_statuses,
    "floors": floors,
    "shifts": shifts,
}


def regenerated(page: str) -> str:
    """`page` with every table between `<!-- generated: NAME -->` and `<!-- end -->` made anew."""

    def table(found: re.Match[str]) -> str:
        lines = "\n".join(TABLES[found[1]]())
        return f"<!-- generated: {found[1]} -->\n{lines}\n<!-- end -->"

    return re.sub(r"<!-- generated: ([a-z-]+) -->\n.*?<!-- end -->", table, page, flags=re.DOTALL)


def _numbers(uid: str) -> list[int]:
    return [int(part) for part in uid.split(".")]


if __name__ == "__main__":
    for path in PAGES:
        path.write_text(regenerated(path.read_text()))
