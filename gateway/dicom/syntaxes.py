"""The table of transfer syntaxes: what each does to pixel data, and who decodes and encodes it here."""

from __future__ import annotations

import tomllib
from collections.abc import Container, Iterator
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files
from typing import Any

from gateway.dicom.elements import EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE, Encoding

# The syntaxes that code must name, because each stands for a way to write elements.
IMPLICIT_VR_LE = "1.2.840.10008.1.2"
EXPLICIT_VR_LE = "1.2.840.10008.1.2.1"
DEFLATED_LE = "1.2.840.10008.1.2.1.99"
EXPLICIT_VR_BE = "1.2.840.10008.1.2.2"

_JPEG_2000 = frozenset(f"1.2.840.10008.1.2.4.{part}" for part in (90, 91, 92, 93, 201, 202, 203))
_ENCODINGS = {"implicit-little": IMPLICIT_LE, "explicit-little": EXPLICIT_LE, "explicit-big": EXPLICIT_BE}


class Form(StrEnum):
    """How pixel data stands in a file."""

    NATIVE = "native"
    # Native pixel data in a data set that is deflated as a whole (PS3.5 A.5).
    DEFLATED = "deflated"
    # Compressed frames in fragments (PS3.5 A.4).
    ENCAPSULATED = "encapsulated"


@dataclass(frozen=True, kw_only=True)
class TransferSyntax:
    """One row of the table.

    uid, name: as PS3.6 has them.
    lossless: whether the syntax keeps samples as they are; None when the syntax is not in the table.
    form: how pixel data stands in the file.
    encoding: how elements are written.
    decoder: name of what decodes frames; empty when nothing here does.
    encoder: name of what encodes frames; empty when nothing here does.
    substitute: rank among the syntaxes that replace one without an encoder, 1 first; 0: never.
    whole_words: frames hold the allocated words, bits above Bits Stored included.
    video: the fragments are one stream.
    ybr_rct: Photometric Interpretation YBR_RCT is allowed.
    """

    uid: str
    name: str
    lossless: bool | None
    form: Form = Form.ENCAPSULATED
    encoding: Encoding = EXPLICIT_LE
    decoder: str = ""
    encoder: str = ""
    substitute: int = 0
    whole_words: bool = False
    video: bool = False
    ybr_rct: bool = False

    @property
    def native(self) -> bool:
        """Whether the pixel data, once inflated, is not compressed."""
        return self.form is not Form.ENCAPSULATED

    @property
    def jpeg_2000(self) -> bool:
        """Whether the codestreams are JPEG 2000, HTJ2K included, whose colour transforms have names of their own."""
        return self.uid in _JPEG_2000

    @property
    def lossy(self) -> bool:
        return self.lossless is False

    @property
    def reversible(self) -> bool:
        """Whether the samples that were encoded come out again, exactly, with the decoders at hand."""
        return bool(self.lossless and self.decoder)


def _rows() -> Iterator[TransferSyntax]:
    text = files("gateway.dicom").joinpath("syntaxes.toml").read_text("utf-8")
    rows: list[dict[str, Any]] = tomllib.loads(text)["syntax"]
    for row in rows:
        form, encoding = row.pop("form", Form.ENCAPSULATED), row.pop("encoding", "explicit-little")
        yield TransferSyntax(form=Form(form), encoding=_ENCODINGS[encoding], **row)


TABLE = {row.uid: row for row in _rows()}


def syntax_of(uid: str) -> TransferSyntax:
    """The row of a transfer syntax; for one that is not in the table, a row in which nothing is known."""
    return TABLE.get(uid) or TransferSyntax(uid=uid, name="", lossless=None)


def writable_syntax(uid: str, accepted: Container[str] | None = None) -> str | None:
    """The transfer syntax in which an object that came in `uid` can be written.

    uid: of the object; returned itself when it has an encoder here.
    accepted: what the destination takes; None when that is not known.
    Returns the first substitute that is accepted otherwise, or None when there is none.
    """
    if syntax_of(uid).encoder:
        return uid
    substitutes = sorted((row for row in TABLE.values() if row.substitute), key=lambda row: row.substitute)
    return next((row.uid for row in substitutes if accepted is None or row.uid in accepted), None)
