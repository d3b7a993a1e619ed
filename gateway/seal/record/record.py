"""The record: the chosen header fields of an instance, bit-packed (FORMAT.md, "Record").

Every hidden byte costs visible change. So UIDs are packed as numbers, dates as days, and text in the smallest of four
alphabets. Packing is deterministic: equal records give equal bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, timedelta

from gateway.dicom.part10 import Part10
from gateway.errors import ConfigurationError
from gateway.seal.record.bits import BitReader, BitWriter
from gateway.seal.record.fields import (
    DEFAULT_FIELDS,
    NUMBER_FORMATS,
    Field,
    character_set,
    comparable,
    field,
    field_of_tag,
    raw_value,
    text,
)
from gateway.seal.record.likeness import LIKENESS_BYTES

RESTORE_KEY_BYTES = 16
VALUE_BYTES_MAX = 255
EXTRA_FIELDS_MAX = 31

# The tables are part of the format: entries are only ever appended.
CHARSETS = (
    b"", b"ISO_IR 100", b"ISO_IR 192", b"GB18030", b"GBK", b"ISO_IR 101", b"ISO_IR 109", b"ISO_IR 110",
    b"ISO_IR 144", b"ISO_IR 127", b"ISO_IR 126", b"ISO_IR 138", b"ISO_IR 148", b"ISO_IR 13", b"ISO_IR 166",
    b"ISO_IR 203", b"\\ISO 2022 IR 87", b"ISO 2022 IR 13\\ISO 2022 IR 87", b"\\ISO 2022 IR 149",
    b"ISO 2022 IR 100", b"\\ISO 2022 IR 58", b"ISO_IR 6", b"\\ISO 2022 IR 13\\ISO 2022 IR 87",
)  # fmt: skip
MODALITIES = (
    b"CT", b"MR", b"CR", b"DX", b"MG", b"US", b"XA", b"RF", b"NM", b"PT", b"OT", b"SC",
    b"ES", b"GM", b"SM", b"XC", b"OP", b"OPT", b"IO", b"PX", b"BI", b"DG", b"IVUS", b"IVOCT",
    b"LS", b"RG", b"TG", b"BMD", b"RTIMAGE", b"RTDOSE", b"RTSTRUCT", b"RTPLAN", b"SEG", b"SR", b"KO", b"PR",
    b"DOC", b"ECG", b"REG", b"OAM", b"OCT", b"OPV", b"VA",
)  # fmt: skip
SEXES = (b"M", b"F", b"O")
UID_ROOTS = (
    b"", b"1.2.840.113619.", b"1.3.12.2.1107.5.", b"1.3.46.670589.", b"1.2.392.200036.", b"2.25.",
    b"1.2.826.0.1.3680043.", b"1.3.6.1.4.1.",
)  # fmt: skip
# (bits for each character, characters); None stands for all bytes.
ALPHABETS = (
    (4, b"0123456789 ^-./:"),
    (6, b" 0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ^-._/=,'()&+*#:@%!?;<>|\\\"~$"),
    (7, bytes(range(128))),
    (8, None),
)
UID_ALPHABET = b"0123456789."
_LITERAL_CHARSET = 63
_LITERAL_MODALITY = 63
_EPOCH = date(1800, 1, 1)
_DAY_BITS = 17
_STUDY = "StudyInstanceUID"


class RecordDamaged(ValueError):
    """The bytes are not a record of this format."""


@dataclass(frozen=True)
class Record:
    """What is hidden in an object.

    restore_key: 16 bytes, from which the keys of restoring element and likeness are derived.
    charset: Specific Character Set of the values.
    values: keyword -> raw bytes in `charset`, padding removed.
    shortened: keywords of fields whose value was cut at 255 bytes.
    likeness: 8 bytes that bind the record to its image (likeness.py), or b"".
    """

    restore_key: bytes
    charset: bytes
    values: dict[str, bytes]
    shortened: frozenset[str] = frozenset()
    likeness: bytes = b""

    def texts(self) -> dict[str, str]:
        """keyword -> the value as people read it."""
        return {keyword: text(raw, field(keyword), self.charset) for keyword, raw in self.values.items()}


def take(file: Part10, fields: Iterable[str], restore_key: bytes, *, likeness: bytes = b"") -> Record:
    """The record of an object. Empty and absent values are left out.

    fields: keywords.
    """
    values: dict[str, bytes] = {}
    shortened: set[str] = set()
    for keyword in fields:
        raw = raw_value(file, field(keyword))
        if len(raw) > VALUE_BYTES_MAX:
            raw = raw[:VALUE_BYTES_MAX]
            shortened.add(keyword)
        if raw:
            values[keyword] = raw
    charset = character_set(file)[:VALUE_BYTES_MAX]
    return Record(restore_key, charset, values, frozenset(shortened), likeness)


def same_value(record: Record, identity_field: Field, file: Part10) -> bool:
    """Whether the hidden value of a field agrees with the header. A shortened one is compared by its beginning."""
    present = raw_value(file, identity_field)
    raw = record.values.get(identity_field.keyword, b"")
    if identity_field.vr in NUMBER_FORMATS:
        return present == raw
    hidden = comparable(text(raw, identity_field, record.charset), identity_field)
    header = comparable(text(present, identity_field, character_set(file)), identity_field)
    if identity_field.keyword in record.shortened:
        # The cut may have split a character, so that the last two decoded characters prove nothing.
        return header.startswith(hidden[:-2])
    return hidden == header


def pack(record: Record) -> bytes:
    """The record as bytes.

    Raises ConfigurationError when it has more than 31 fields beyond the default ones.
    """
    out = BitWriter()
    out.put_bytes(record.restore_key)
    _put_index(out, record.charset, CHARSETS, 6, lambda: _put_raw(out, record.charset))
    for keyword in DEFAULT_FIELDS:
        out.put(keyword in record.values, 1)
    extras = sorted(
        (field(keyword) for keyword in record.values if keyword not in DEFAULT_FIELDS),
        key=lambda extra: extra.tag,
    )
    if len(extras) > EXTRA_FIELDS_MAX:
        raise ConfigurationError(f"a record holds at most {EXTRA_FIELDS_MAX} fields beyond the default ones")
    out.put(bool(extras), 1)
    if extras:
        out.put(len(extras), 5)
    study = record.values.get(_STUDY, b"")
    for keyword in DEFAULT_FIELDS:
        if keyword in record.values:
            _put_value(out, field(keyword), record.values[keyword], keyword in record.shortened, study)
    for extra in extras:
        out.put(extra.tag, 32)
        _put_value(out, extra, record.values[extra.keyword], extra.keyword in record.shortened, study)
    out.put_bytes(record.likeness)
    return out.to_bytes()


def unpack(data: bytes) -> Record:
    """The record that is packed in `data`.

    Raises RecordDamaged when the bytes are not a record of this format.
    """
    try:
        return _unpack(BitReader(data))
    except (ValueError, IndexError, OverflowError, ConfigurationError) as error:
        raise RecordDamaged(f"not a record: {error}") from error


def _unpack(bits: BitReader) -> Record:
    restore_key = bits.get_bytes(RESTORE_KEY_BYTES)
    index = bits.get(6)
    charset = bits.get_bytes(bits.get(8)) if index == _LITERAL_CHARSET else CHARSETS[index]
    present = [keyword for keyword in DEFAULT_FIELDS if bits.get(1)]
    extras = bits.get(5) if bits.get(1) else 0
    values: dict[str, bytes] = {}
    shortened: set[str] = set()

    def take_value(identity_field: Field) -> None:
        values[identity_field.keyword], cut = _get_value(bits, identity_field, values.get(_STUDY, b""))
        if cut:
            shortened.add(identity_field.keyword)

    for keyword in present:
        take_value(field(keyword))
    for _ in range(extras):
        take_value(field_of_tag(bits.get(32)))
    # An image without structure has no likeness. Padding has fewer than 8 bits, so that it can't be taken for one.
    likeness = bits.get_bytes(LIKENESS_BYTES) if bits.left >= 8 * LIKENESS_BYTES else b""
    if not bits.at_end():
        raise ValueError("bytes follow the last field")
    return Record(restore_key, charset, values, frozenset(shortened), likeness)


def _put_value(out: BitWriter, identity_field: Field, raw: bytes, cut: bool, study: bytes) -> None:
    def as_text() -> None:
        _put_text(out, raw, cut)

    if identity_field.keyword == "PatientSex":
        _put_index(out, b"" if cut else raw, SEXES, 2, as_text)
    elif identity_field.keyword == "Modality":
        _put_index(out, b"" if cut else raw, MODALITIES, 6, as_text)
    elif identity_field.vr == "DA":
        days = None if cut else _days(raw)
        out.put(days is None, 1)
        if days is None:
            as_text()
        else:
            out.put(days, _DAY_BITS)
    elif identity_field.vr == "UI":
        plain = not cut and len(raw) <= 64 and not raw.translate(None, UID_ALPHABET)
        out.put(not plain, 1)
        if plain:
            _put_uid(out, raw, b"" if identity_field.keyword == _STUDY else study)
        else:
            as_text()
    else:
        as_text()


def _get_value(bits: BitReader, identity_field: Field, study: bytes) -> tuple[bytes, bool]:
    if identity_field.keyword in {"PatientSex", "Modality"}:
        table, width = (SEXES, 2) if identity_field.keyword == "PatientSex" else (MODALITIES, 6)
        index = bits.get(width)
        return _get_text(bits) if index == (1 << width) - 1 else (table[index], False)
    if identity_field.vr == "DA":
        if bits.get(1):
            return _get_text(bits)
        return f"{_EPOCH + timedelta(days=bits.get(_DAY_BITS)):%Y%m%d}".encode(), False
    if identity_field.vr == "UI":
        if bits.get(1):
            return _get_text(bits)
        return _get_uid(bits, b"" if identity_field.keyword == _STUDY else study), False
    return _get_text(bits)


def _put_index(
    out: BitWriter, raw: bytes, table: tuple[bytes, ...], width: int, otherwise: Callable[[], None]
) -> None:
    """The position of `raw` in a table, or all ones and then what `otherwise` writes."""
    if raw in table:
        out.put(table.index(raw), width)
    else:
        out.put((1 << width) - 1, width)
        otherwise()


def _put_raw(out: BitWriter, raw: bytes) -> None:
    out.put(len(raw), 8)
    out.put_bytes(raw)


def _put_text(out: BitWriter, raw: bytes, cut: bool) -> None:
    mode = next(
        mode
        for mode, (_, letters) in enumerate(ALPHABETS)
        if letters is None or not raw.translate(None, letters)
    )
    width, letters = ALPHABETS[mode]
    out.put(mode, 2)
    out.put(cut, 1)
    out.put(len(raw), 8)
    for byte in raw:
        out.put(byte if letters is None else letters.index(byte), width)


def _get_text(bits: BitReader) -> tuple[bytes, bool]:
    width, letters = ALPHABETS[bits.get(2)]
    cut = bool(bits.get(1))
    symbols = [bits.get(width) for _ in range(bits.get(8))]
    return bytes(symbols) if letters is None else bytes(letters[symbol] for symbol in symbols), cut


def _days(raw: bytes) -> int | None:
    """Days since 1800-01-01; None unless the value is a valid YYYYMMDD whose days fit 17 bits."""
    if len(raw) != 8 or not raw.isdigit():
        return None
    try:
        days = (date(int(raw[:4]), int(raw[4:6]), int(raw[6:])) - _EPOCH).days
    except ValueError:
        return None
    return days if 0 <= days < 1 << _DAY_BITS else None


def _put_uid(out: BitWriter, raw: bytes, study: bytes) -> None:
    """Write a UID relative to the Study Instance UID when the two share more characters than the longest known root."""
    shared = next(
        (at for at, (a, b) in enumerate(zip(raw, study, strict=False)) if a != b), min(len(raw), len(study))
    )
    root = max((root for root in UID_ROOTS if raw.startswith(root)), key=len)
    relative = shared > len(root)
    out.put(relative, 1)
    if relative:
        out.put(min(shared, 63), 6)
        rest = raw[min(shared, 63) :]
    else:
        out.put(UID_ROOTS.index(root), 3)
        rest = raw[len(root) :]
    number = 0
    for byte in rest:
        number = number * 11 + UID_ALPHABET.index(byte)
    out.put(len(rest), 7)
    out.put(number, _uid_bits(len(rest)))


def _get_uid(bits: BitReader, study: bytes) -> bytes:
    start = study[: bits.get(6)] if bits.get(1) else UID_ROOTS[bits.get(3)]
    length = bits.get(7)
    number = bits.get(_uid_bits(length))
    letters = bytearray()
    for _ in range(length):
        number, symbol = divmod(number, 11)
        letters.append(UID_ALPHABET[symbol])
    if number:
        raise ValueError("a UID holds more than its characters")
    return start + bytes(reversed(letters))


def _uid_bits(length: int) -> int:
    """Number of bits that hold any `length` characters of the UID alphabet."""
    return int(11**length - 1).bit_length()
