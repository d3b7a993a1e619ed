"""Lines of text as a PDF (ISO 32000-1) in one of the fonts that every reader has; nothing else is in it."""

from __future__ import annotations

from collections.abc import Sequence

# A4 in points.
WIDTH, HEIGHT = 595, 842
MARGIN, FONT_SIZE, LEADING = 50, 10, 14
LINES_A_PAGE = (HEIGHT - 2 * MARGIN) // LEADING
# Courier is 0.6 as wide as it is high.
CHARACTERS_ACROSS = int((WIDTH - 2 * MARGIN) / (0.6 * FONT_SIZE))


def document(lines: Sequence[str], *, title: str) -> bytes:
    """The file. The same lines give the same bytes.

    lines: ASCII; others become question marks. They are not wrapped.
    """
    pages = [lines[at : at + LINES_A_PAGE] for at in range(0, max(len(lines), 1), LINES_A_PAGE)]
    # 1 catalogue, 2 page tree, 3 font, 4 information, then a page and its content in turn.
    kids = " ".join(f"{5 + 2 * number} 0 R" for number in range(len(pages)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Courier >>",
        b"<< /Title (" + _escaped(title) + b") /Producer (Sealgate) >>",
    ]
    for number, page in enumerate(pages):
        content = _content(page)
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {WIDTH} {HEIGHT}] "
            f"/Resources << /Font << /F1 3 0 R >> >> /Contents {6 + 2 * number} 0 R >>".encode()
        )
        objects.append(f"<< /Length {len(content)} >>\nstream\n".encode() + content + b"\nendstream")
    return _file(objects)


def _content(lines: Sequence[str]) -> bytes:
    shown = b"".join(b"(" + _escaped(line) + b") '\n" for line in lines)
    start = HEIGHT - MARGIN
    return f"BT /F1 {FONT_SIZE} Tf {LEADING} TL {MARGIN} {start} Td\n".encode() + shown + b"ET"


def _escaped(text: str) -> bytes:
    plain = text.encode("ascii", "replace")
    return plain.replace(b"\\", b"\\\\").replace(b"(", b"\\(").replace(b")", b"\\)")


def _file(objects: Sequence[bytes]) -> bytes:
    """Header, objects, cross-reference table, trailer (ISO 32000-1 7.5)."""
    data = b"%PDF-1.4\n"
    offsets = []
    for number, content in enumerate(objects, 1):
        offsets.append(len(data))
        data += f"{number} 0 obj\n".encode() + content + b"\nendobj\n"
    table = f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n" + "".join(
        f"{offset:010d} 00000 n \n" for offset in offsets
    )
    trailer = (
        f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R /Info 4 0 R >>\nstartxref\n{len(data)}\n%%EOF\n"
    )
    return data + table.encode() + trailer.encode()
