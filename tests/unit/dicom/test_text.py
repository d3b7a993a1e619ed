"""Text values of strangers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dicom.text import CODECS, decoded, encoded


@pytest.mark.parametrize("raw", [b"Evil^\x1b[2J", b"\x1b", b"\x1b(Bgood\x1b[bad", b"\xff\x1b%"])
@pytest.mark.parametrize("charset", [b"", b"ISO_IR 192", b"\\ISO 2022 IR 87"])
def test_an_escape_that_nobody_knows_makes_no_text_and_no_error(raw: bytes, charset: bytes) -> None:
    assert decoded(raw, charset) is None


@pytest.mark.parametrize(
    ("raw", "charset", "expected"),
    [
        (b"A\x1b$B;3ED\x1b(B^B", b"\\ISO 2022 IR 87", "A山田^B"),
        # Behind a delimiter the first character set holds again, without an escape sequence.
        (b"\x1b)I\xd4\xcf^\xe9", b"ISO 2022 IR 100\\ISO 2022 IR 13", "ﾔﾏ^é"),
        (b"\x1b$)C\xb1\xe8^\xe9", b"ISO 2022 IR 100\\ISO 2022 IR 149", "김^é"),
        (b"\x1b-L\xb6\\\xe9", b"ISO 2022 IR 100\\ISO 2022 IR 144", "Ж\\é"),
        (b"\xe9", b"", "é"),
        (b"\xe9", b"no such term", "é"),
        (b"\xe9", b"ISO_IR 100 \\", "é"),
        (b"plain", b"ISO_IR 166", "plain"),
    ],
)
def test_text_is_decoded_as_its_character_sets_say(raw: bytes, charset: bytes, expected: str) -> None:
    assert decoded(raw, charset) == expected


@pytest.mark.parametrize(
    ("raw", "charset"),
    [
        (b"\xe9", b"ISO_IR 192"),
        (b"\xff", b"ISO_IR 166"),
        (b"\x1b$B\xff", b"\\ISO 2022 IR 87"),
        (b"\xb1", b"GB18030"),
    ],
)
def test_bytes_that_are_no_text_in_their_character_set_are_none(raw: bytes, charset: bytes) -> None:
    assert decoded(raw, charset) is None


@given(st.sampled_from(sorted(CODECS)), st.text(max_size=10))
def test_what_is_encoded_is_decoded_again(term: str, value: str) -> None:
    raw = encoded(value, term.encode())
    if raw is not None and "\x1b" not in value and "\N{REPLACEMENT CHARACTER}" not in value:
        assert decoded(raw, term.encode()) == value


@given(st.binary(max_size=40), st.binary(max_size=30))
def test_decoding_raises_nothing(raw: bytes, charset: bytes) -> None:
    text = decoded(raw, charset)
    assert text is None or "\x1b" not in text
