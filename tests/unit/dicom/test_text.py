"""Text values of strangers."""

from __future__ import annotations

import pytest

from gateway.dicom.text import decoded


@pytest.mark.parametrize("raw", [b"Evil^\x1b[2J", b"\x1b", b"\x1b(Bgood\x1b[bad", b"\xff\x1b%"])
@pytest.mark.parametrize("charset", [b"", b"ISO_IR 192", b"\\ISO 2022 IR 87"])
def test_an_escape_that_nobody_knows_makes_no_text_and_no_error(raw: bytes, charset: bytes) -> None:
    assert decoded(raw, charset) is None
