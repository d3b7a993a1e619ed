"""The Seal report: objects in the study itself that say in plain words which objects were withheld or marked, and why.

A Secondary Capture, which every viewer shows, and an Encapsulated PDF with all of it. They have a series of their own.
The same findings give the same bytes and the same UIDs, so that asking again adds nothing to what a viewer has.
"""

from __future__ import annotations

import struct
import textwrap
import uuid
from collections.abc import Iterator, Mapping, Sequence

from blake3 import blake3

from gateway.dicom.elements import EXPLICIT_LE, encode
from gateway.dicom.file_meta import wrap
from gateway.dicom.syntaxes import EXPLICIT_VR_LE
from gateway.retrieve import pdf
from gateway.retrieve.findings import ReturnFinding
from gateway.retrieve.lettering import characters_across, lettered, lines_down
from gateway.retrieve.study_elements import STUDY_HEADER

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
ENCAPSULATED_PDF = "1.2.840.10008.5.1.4.1.1.104.1"
TITLE = "Seal report"
# High, so that viewers show it behind the series of the study.
SERIES_NUMBERS = {SECONDARY_CAPTURE: "9901", ENCAPSULATED_PDF: "9902"}

STUDY_UID = 0x0020000D
VALUE_BYTES_MAX = 1024

# Of the image.
ROWS, COLUMNS, SCALE, MARGIN = 768, 1024, 2, 24
PAGES_MAX = 8
# Objects that the PDF names.
FINDINGS_MAX = 2000

WITHHELD = "NOT DELIVERED: the proof that the gateway keeps says that something is wrong."
MARKED = "DELIVERED WITH A MARK: nothing proves that it is what the modality sent."
ADVICE = (
    "Do not report on what is named here before somebody has looked into it. Your PACS administrator finds what "
    "happened in the gateway's audit log."
)

Header = Mapping[int, bytes]


def reports(study: str, header: Header, findings: Sequence[ReturnFinding]) -> list[bytes]:
    """The report on one study, as files: pages of Secondary Capture, then one Encapsulated PDF.

    study: its UID.
    header: of the study, as the archive has it; tags of STUDY_HEADER, values as they are.
    findings: at least one.
    """
    wide = characters_across(COLUMNS, scale=SCALE, margin=MARGIN)
    down = lines_down(ROWS, scale=SCALE, margin=MARGIN)
    lines = list(_lines(findings, wide))
    pages = [lines[at : at + down - 2] for at in range(0, len(lines), down - 2)]
    if len(pages) > PAGES_MAX:
        pages = pages[:PAGES_MAX]
        pages[-1] = [*pages[-1][: down - 3], "... and more: the PDF beside this image names all."]
    files = [
        _capture(study, header, [f"SEALGATE {TITLE.upper()}", "", *page], number)
        for number, page in enumerate(pages, 1)
    ]
    text = [f"SEALGATE {TITLE.upper()}", "", *_lines(findings, pdf.CHARACTERS_ACROSS)]
    return [*files, _encapsulated(study, header, text)]


def _lines(findings: Sequence[ReturnFinding], width: int) -> Iterator[str]:
    for treatment, head in (("withhold", WITHHELD), ("mark", MARKED)):
        chosen = [finding for finding in findings if finding.treatment == treatment]
        if not chosen:
            continue
        yield from textwrap.wrap(f"{len(chosen)} {'object' if len(chosen) == 1 else 'objects'} {head}", width)
        yield ""
        for finding in chosen[:FINDINGS_MAX]:
            yield from textwrap.wrap(f"{finding.place}: {finding.words}", width, subsequent_indent="   ")
        if len(chosen) > FINDINGS_MAX:
            yield f"... and {len(chosen) - FINDINGS_MAX} more"
        yield ""
    yield from textwrap.wrap(ADVICE, width)


def _capture(study: str, header: Header, lines: Sequence[str], number: int) -> bytes:
    pixels = lettered(lines, columns=COLUMNS, rows=ROWS, scale=SCALE, margin=MARGIN).tobytes()

    def us(value: int) -> tuple[bytes, bytes]:
        return b"US", struct.pack("<H", value)

    return _file(
        study,
        header,
        SECONDARY_CAPTURE,
        "\n".join(lines),
        number,
        {
            0x00080008: (b"CS", b"DERIVED\\SECONDARY"),
            0x00080060: (b"CS", b"OT"),
            0x00080064: (b"CS", b"WSD"),
            0x00200020: (b"CS", b""),
            0x00280002: us(1),
            0x00280004: (b"CS", b"MONOCHROME2"),
            0x00280010: us(ROWS),
            0x00280011: us(COLUMNS),
            0x00280100: us(8),
            0x00280101: us(8),
            0x00280102: us(7),
            0x00280103: us(0),
            0x00280301: (b"CS", b"NO"),
            0x7FE00010: (b"OB", pixels),
        },
    )


def _encapsulated(study: str, header: Header, lines: Sequence[str]) -> bytes:
    content = pdf.document(lines, title=TITLE)
    return _file(
        study,
        header,
        ENCAPSULATED_PDF,
        "\n".join(lines),
        1,
        {
            0x00080023: (b"DA", b""),
            0x00080033: (b"TM", b""),
            0x0008002A: (b"DT", b""),
            0x00080060: (b"CS", b"DOC"),
            0x00080064: (b"CS", b"WSD"),
            0x00280301: (b"CS", b"NO"),
            0x0040A043: (b"SQ", b""),
            0x00420010: (b"ST", TITLE.encode()),
            0x00420011: (b"OB", content),
            0x00420012: (b"LO", b"application/pdf"),
        },
    )


def _file(
    study: str,
    header: Header,
    sop_class: str,
    content: str,
    number: int,
    elements: dict[int, tuple[bytes, bytes]],
) -> bytes:
    """A file with what both kinds share: patient, study, series, equipment, SOP common (PS3.3 A.8, A.45.1)."""
    series = _uid(study, sop_class)
    instance = _uid(study, sop_class, content, str(number))
    taken = {tag: (vr, header.get(tag, b"")[:VALUE_BYTES_MAX]) for tag, vr in STUDY_HEADER.items()}
    if not taken[0x00080005][1]:
        del taken[0x00080005]
    # An issuer that nobody stated is no empty issuer.
    if not taken[0x00100021][1]:
        del taken[0x00100021]
    data: dict[int, tuple[bytes, bytes]] = {
        **taken,
        **elements,
        0x00080016: (b"UI", sop_class.encode()),
        0x00080018: (b"UI", instance.encode()),
        0x00080070: (b"LO", b"Sealgate"),
        0x0008103E: (b"LO", TITLE.encode()),
        STUDY_UID: (b"UI", study.encode()),
        # The side of nothing: type 2C, empty.
        0x00200060: (b"CS", b""),
        0x0020000E: (b"UI", series.encode()),
        0x00200011: (b"IS", SERIES_NUMBERS[sop_class].encode()),
        0x00200013: (b"IS", str(number).encode()),
    }
    body = b"".join(encode(tag, *data[tag], EXPLICIT_LE) for tag in sorted(data))
    return wrap(sop_class=sop_class, sop_instance=instance, syntax=EXPLICIT_VR_LE) + body


def _uid(*parts: str) -> str:
    """A UID of PS3.5 B.2 that depends on `parts` alone."""
    digest = blake3("\0".join((TITLE, *parts)).encode()).digest()
    return f"2.25.{uuid.UUID(bytes=digest[:16]).int}"
