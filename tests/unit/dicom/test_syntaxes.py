"""The table of transfer syntaxes agrees with PS3.6 and with the codecs, and gives the right substitutes."""

from __future__ import annotations

from collections.abc import Callable

import pynetdicom  # noqa: F401  it gives pydicom the UIDs of JPEG XL
import pytest
from pydicom.uid import UID

from gateway.dicom import compressed
from gateway.dicom.elements import EXPLICIT_LE
from gateway.dicom.syntaxes import (
    DEFLATED_LE,
    EXPLICIT_VR_BE,
    EXPLICIT_VR_LE,
    IMPLICIT_VR_LE,
    TABLE,
    Form,
    TransferSyntax,
    syntax_of,
    writable_syntax,
)

JPEG_LS, JPEG_LOSSLESS_FIRST_ORDER = "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.70"
RLE, HTJ2K_RPCL, JPEG_BASELINE = "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.202", "1.2.840.10008.1.2.4.50"


@pytest.mark.parametrize("row", TABLE.values(), ids=lambda row: row.uid)
def test_a_row_agrees_with_the_standard(row: TransferSyntax) -> None:
    uid = UID(row.uid)
    assert uid.is_transfer_syntax
    assert row.name == uid.name
    assert row.native is not uid.is_compressed
    assert (row.form is Form.DEFLATED) is uid.is_deflated
    assert row.encoding.explicit is not uid.is_implicit_VR
    assert row.encoding.little is uid.is_little_endian


@pytest.mark.parametrize(
    ("column", "codecs"), [("decoder", compressed.DECODERS), ("encoder", compressed.ENCODERS)]
)
def test_every_codec_that_is_named_exists_and_every_one_that_exists_is_named(
    column: str, codecs: dict[str, Callable[..., object]]
) -> None:
    assert {getattr(row, column) for row in TABLE.values()} - {"", "native"} == set(codecs)
    assert all((getattr(row, column) == "native") is row.native for row in TABLE.values())


def test_nothing_lossy_is_written_and_everything_written_is_read() -> None:
    assert all(row.lossless and row.decoder for row in TABLE.values() if row.encoder)


def test_the_element_encodings_have_the_names_that_code_uses() -> None:
    native = {row.uid for row in TABLE.values() if row.native}
    assert native == {IMPLICIT_VR_LE, EXPLICIT_VR_LE, EXPLICIT_VR_BE, DEFLATED_LE}


def test_nothing_is_known_of_a_syntax_that_is_not_listed() -> None:
    unknown = syntax_of("1.2.3")
    assert unknown.lossless is None
    assert not (unknown.native or unknown.lossy or unknown.reversible or unknown.encoder)


def test_a_syntax_without_an_encoder_gets_the_first_substitute_that_the_destination_takes() -> None:
    assert writable_syntax(RLE, ()) == RLE
    assert writable_syntax(HTJ2K_RPCL) == EXPLICIT_VR_LE
    assert writable_syntax(HTJ2K_RPCL, (RLE, JPEG_LS)) == JPEG_LS
    assert writable_syntax(HTJ2K_RPCL, (RLE, JPEG_LOSSLESS_FIRST_ORDER)) == JPEG_LOSSLESS_FIRST_ORDER
    assert writable_syntax(HTJ2K_RPCL, (RLE,)) == RLE
    assert writable_syntax(HTJ2K_RPCL, (JPEG_BASELINE,)) is None


def test_substitutes_have_an_encoder_and_the_elements_of_every_compressed_syntax() -> None:
    substitutes = [row for row in TABLE.values() if row.substitute]
    assert sorted(row.substitute for row in substitutes) == [1, 2, 3, 4]
    assert all(row.encoder and row.encoding == EXPLICIT_LE for row in substitutes)
