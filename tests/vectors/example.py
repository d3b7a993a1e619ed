"""Print the worked example of FORMAT.md: every part that does not depend on chance."""

from __future__ import annotations

import textwrap

import numpy as np
from blake3 import blake3

from gateway.dicom.elements import EXPLICIT_LE, encode, item
from gateway.dicom.image import PixelFormat
from gateway.dicom.part10 import read
from gateway.seal.block import digest, statement
from gateway.seal.block.statement import Statement
from gateway.seal.header import table
from gateway.seal.record import likeness
from gateway.seal.record.envelope import Locator
from gateway.seal.record.record import Record, pack
from gateway.seal.undo import residual

KEY = bytes(range(16))
SHOWN_SHAPE = PixelFormat(
    rows=64,
    columns=48,
    frames=1,
    samples=1,
    allocated=16,
    stored=12,
    high_bit=11,
    signed=False,
    planar=0,
    photometric="MONOCHROME2",
)
_ROWS, _COLUMNS = np.mgrid[0:64, 0:48]
SHOWN = ((_ROWS * 300 + _COLUMNS * _COLUMNS * 7) % 4096).astype(np.uint16).reshape(SHOWN_SHAPE.shape)
LIKENESS = likeness.of_image(SHOWN, SHOWN_SHAPE, KEY)
RECORD = Record(
    KEY,
    b"ISO_IR 192",
    {
        "PatientID": b"SYN-00042",
        "PatientName": "Müller^Élise".encode(),
        "PatientBirthDate": b"19700101",
        "PatientSex": b"F",
        "StudyInstanceUID": b"2.25.1234567890",
        "SOPInstanceUID": b"2.25.1234567891",
        "Modality": b"MR",
    },
    likeness=LIKENESS,
)
SAMPLES = np.arange(12, dtype=np.uint16).reshape(1, 3, 4, 1) * 300
SHAPE = PixelFormat(
    rows=3,
    columns=4,
    frames=1,
    samples=1,
    allocated=16,
    stored=12,
    high_bit=11,
    signed=False,
    planar=0,
    photometric="MONOCHROME2",
)
HEADER = table.take(
    read(
        b"".join(
            encode(tag, vr, value, EXPLICIT_LE)
            for tag, vr, value in [
                (0x00080005, b"CS", b"ISO_IR 100"),
                (0x00080008, b"CS", b"ORIGINAL\\PRIMARY"),
                (0x00081140, b"SQ", item(encode(0x00081155, b"UI", b"1.2.3", EXPLICIT_LE), EXPLICIT_LE)),
                (0x00100010, b"PN", "Müller^Élise^^".encode("latin-1")),
                (0x00280010, b"US", b"\3\0"),
                (0x00281053, b"DS", b"1.50"),
            ]
        )
    ),
    bytes(16),
)
CHANGE = np.array([0, 1, 0, 0, -1, 0, 0, 0, 0, 3, 0, 0], np.int32).reshape(1, 3, 4, 1)


def parts() -> dict[str, str]:
    """Name of each part -> its value as text."""
    found = digest.of_pixels(SAMPLES, SHAPE)
    said = Statement(
        level="digest",
        reason="too-small",
        domain="pixels",
        digest=found,
        transfer_syntax="1.2.840.10008.1.2.1",
        header_salt=bytes(16),
        header_hash=blake3(table.encode(HEADER)).digest(),
        sealed_at=1_740_830_400,
        signer_id=bytes(range(8)),
        tile_edge=8,
        tiles_hash=blake3(digest.of_tiles(SAMPLES, SHAPE, 8)).digest(),
    )
    return {
        "likeness": LIKENESS.hex(),
        "record": pack(RECORD).hex(),
        "locator payload, id 00 01 .. 0f": Locator(bytes(range(16))).to_payload().hex(),
        "digest, domain pixels": found.hex(),
        "tile digests, edge 8": digest.of_tiles(SAMPLES, SHAPE, 8).hex(),
        "residual": residual.encode(CHANGE).hex(),
        "signed header": table.encode(HEADER).hex(),
        "statement": statement.encode(said).hex(),
    }


def text() -> str:
    """The example as it stands in FORMAT.md."""
    values = "; ".join(f"{name} `{value.decode()}`" for name, value in RECORD.values.items())
    lines = [
        "The likeness of an image of 64 rows and 48 columns, MONOCHROME2, whose value in row r and column c is",
        "(300 r + 7 c c) mod 4096, both counted from 0, with restore key 00 01 .. 0f.",
        f"A record with this restore key and likeness, character set `ISO_IR 192`, {values}.",
        "An image of 3 rows and 4 columns, 12 bits stored in 16, unsigned, values 0, 300, 600 .. 3300; a residual",
        "for it of 0 1 0 0 / -1 0 0 0 / 0 3 0 0; a statement about it at level digest, reason too-small, Explicit VR",
        "Little Endian, salt of zeros, sealed at 1740830400 by signer 00 01 .. 07, with the signed header of a data",
        "set of Specific Character Set `ISO_IR 100`, Image Type `ORIGINAL\\PRIMARY`, one item of Referenced Image",
        "Sequence with Referenced SOP Instance UID `1.2.3`, Patient's Name `Müller^Élise^^`, Rows 3, Rescale Slope",
        "`1.50`.",
        "",
        "```text",
    ]
    for name, value in parts().items():
        lines += [f"{name}:", *textwrap.wrap(value, 96, initial_indent="  ", subsequent_indent="  ")]
    return "\n".join([*lines, "```"])


if __name__ == "__main__":
    print(text())
