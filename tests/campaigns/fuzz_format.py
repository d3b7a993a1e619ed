"""Coverage-guided fuzzing of what reads bytes from strangers (https://github.com/google/atheris).

`python -m tests.campaigns.fuzz_format TARGET CORPUS -max_total_time=60`: further options are those of libFuzzer. The
targets are functions from bytes to nothing; an exception that their documentation does not name is a finding, and
libFuzzer leaves the input in the working directory.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable

import atheris

with atheris.instrument_imports(include=["gateway"]):
    from gateway import keys
    from gateway.dicom import one_reading, pixels
    from gateway.dicom.image import pixel_format
    from gateway.dicom.part10 import Part10, read
    from gateway.dicom.text import CODECS, decoded
    from gateway.errors import InputError, SealBroken
    from gateway.seal.block import amendment, private_block, statement
    from gateway.seal.codec import Codec
    from gateway.seal.header import dictionary, received, table
    from gateway.seal.header.canonical import HeaderReading, is_covered, value_of, vr_of
    from gateway.seal.header.showing import inside, shown
    from gateway.seal.record import envelope, record
    from gateway.seal.undo import residual
    from gateway.seal.undo.bitcoding import ResidualDamaged
    from gateway.seal.verifying import verify

SHAPE = (2, 24, 40, 1)
STATEMENT = b"a statement"
CHARSETS = sorted(CODECS)
PIXEL_BYTES_MAX = 1 << 20


def parse_object(data: bytes) -> None:
    """A file, its private block, its statement and its pixels."""
    with contextlib.suppress(InputError, SealBroken):
        file = read(data)
        found = private_block.find(file)
        if found is not None:
            statement.decode(found.statement)
        shape = pixel_format(file)
        if shape.rows * shape.columns * shape.samples * shape.frames <= PIXEL_BYTES_MAX:
            pixels.decode(file, shape)


def parse_statement(data: bytes) -> None:
    with contextlib.suppress(SealBroken):
        said, used = statement.decode(data)
        assert statement.encode(said) == used


def parse_record(data: bytes) -> None:
    with contextlib.suppress(record.RecordDamaged):
        record.unpack(data)


def parse_envelope(data: bytes) -> None:
    closed = envelope.parse(data)
    assert closed is None or closed.to_payload() == data


def parse_residual(data: bytes) -> None:
    with contextlib.suppress(ResidualDamaged):
        assert residual.decode(data, SHAPE).shape == SHAPE


def parse_table(data: bytes) -> None:
    with contextlib.suppress(SealBroken):
        sealed = table.decode(data)
        assert table.encode(sealed) == data
        for change in table.changes(sealed, table.HeaderTable()):
            assert change.name
        assert not table.changes(sealed, sealed)


def parse_received(data: bytes) -> None:
    """What an element holds once it is decrypted."""
    with contextlib.suppress(SealBroken):
        header = received.unpack(data)
        whole = header.assembled(lambda _: b"")
        assert whole is None or header.proves(whole) in (True, False)
        _show(header.header())


def parse_amendments(data: bytes) -> None:
    with contextlib.suppress(SealBroken):
        amendments = amendment.decode(data, STATEMENT)
        amendment.covered(amendments, table.HeaderTable())


def read_in_one_way(data: bytes) -> None:
    with contextlib.suppress(InputError):
        assert one_reading.objection(read(data), dictionary.vrs()).isascii()


def take_header(data: bytes) -> None:
    with contextlib.suppress(InputError):
        file = read(data)
        taken = table.take(file, bytes(16))
        assert table.decode(table.encode(taken)) == taken
        _show(file)


def decode_text(data: bytes) -> None:
    charset = CHARSETS[data[0] % len(CHARSETS)].encode() if data else b""
    text = decoded(data[1:], charset)
    assert text is None or "\x1b" not in text


def _show(file: Part10) -> None:
    with contextlib.suppress(InputError):
        reading = HeaderReading.of(file)
        for element in file.elements:
            assert len(shown(element, reading)) <= 256
            if vr_of(element, reading) == "SQ":
                assert not inside(element, reading, element, reading)
            if is_covered(element.tag):
                value = value_of(element, reading)
                assert value.length == sum(map(len, value.content))


class Verifier:
    """Whole verification, which never raises; with keys nobody sealed with."""

    def __init__(self) -> None:
        self._codec = Codec.load()
        self._trusted = keys.TrustedSigners([])

    def __call__(self, data: bytes) -> None:
        verify(data, trusted=self._trusted, recipient_key=None, codec=self._codec)


TARGETS: dict[str, Callable[[], Callable[[bytes], None]]] = {
    "object": lambda: parse_object,
    "statement": lambda: parse_statement,
    "record": lambda: parse_record,
    "envelope": lambda: parse_envelope,
    "residual": lambda: parse_residual,
    "table": lambda: parse_table,
    "received": lambda: parse_received,
    "amendments": lambda: parse_amendments,
    "reading": lambda: read_in_one_way,
    "header": lambda: take_header,
    "text": lambda: decode_text,
    "verify": Verifier,
}


def main() -> None:
    name = sys.argv.pop(1)
    atheris.Setup(sys.argv, TARGETS[name]())
    atheris.Fuzz()


if __name__ == "__main__":
    main()
