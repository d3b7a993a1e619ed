"""What a header means: the same in every encoding, and another thing as soon as one value is another."""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.charset import convert_encodings
from pydicom.valuerep import PersonName

from gateway.dicom.elements import EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE, item
from gateway.dicom.part10 import Part10, read
from gateway.dicom.pixels import transcode
from gateway.dicom.recoding import recoded
from gateway.dicom.syntaxes import (
    DEFLATED_LE,
    EXPLICIT_VR_BE,
    EXPLICIT_VR_LE,
    IMPLICIT_VR_LE,
    TABLE,
    syntax_of,
)
from gateway.errors import UnreadableObject
from gateway.seal.header import dictionary, table
from gateway.seal.header.canonical import KINDS, NESTING_MAX, is_covered
from gateway.seal.header.table import HeaderTable
from tests.support import objects
from tests.support.elements import SYNTAXES, Written, file_of, raw, with_meta, written

SALT = bytes(range(16))
CLASS = Written(0x00080016, "UI", b"1.2.840.10008.5.1.4.1.1.7")
NAME, DESCRIPTION, ADDRESS = 0x00100010, 0x00081030, 0x00080081


def _by_vr() -> dict[str, list[int]]:
    """VR -> tags that have it. Those that decide how others are read are left out."""
    found: dict[str, list[int]] = defaultdict(list)
    for tag, vr in sorted(dictionary.vrs().items()):
        if vr in KINDS and is_covered(tag) and tag >> 16 not in (0x0008, 0x0028, 0x5200):
            found[vr].append(tag)
    return dict(found)


BY_VR = _by_vr()
TEXTS = ("AE", "AS", "CS", "DA", "DT", "TM", "UI", "UR", "DS", "IS", "LO", "SH", "UC", "LT", "ST", "UT", "PN")
WIDTHS = {"US": 2, "SS": 2, "AT": 4, "UL": 4, "SL": 4, "FL": 4, "UV": 8, "SV": 8, "FD": 8, "OW": 2, "OF": 4}
WIDTHS |= {"OL": 4, "OD": 8, "OV": 8, "OB": 2}
PRINTABLE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=12)


def leaves() -> st.SearchStrategy[Written]:
    def one(vr: str) -> st.SearchStrategy[Written]:
        if vr in TEXTS:
            values = PRINTABLE.map(str.encode)
        else:
            values = st.binary(min_size=0, max_size=24).map(lambda b: b[: len(b) // WIDTHS[vr] * WIDTHS[vr]])
        return st.builds(Written, st.sampled_from(BY_VR[vr]), st.just(vr), values)

    return st.sampled_from(sorted(set(BY_VR) & {*TEXTS, *WIDTHS})).flatmap(one)


def _distinct(elements: Sequence[Written]) -> list[Written]:
    return list({element.tag: element for element in elements}.values())


def sequences(inside: st.SearchStrategy[Written]) -> st.SearchStrategy[Written]:
    items = st.lists(st.lists(inside, max_size=3).map(_distinct), max_size=3)
    return st.builds(Written, st.sampled_from(BY_VR["SQ"]), st.just("SQ"), items, st.booleans())


DATA_SETS = st.lists(st.recursive(leaves(), sequences, max_leaves=6), max_size=6).map(_distinct)


def taken(elements: Sequence[Written], syntax: str = EXPLICIT_VR_LE) -> HeaderTable:
    return table.take(file_of([CLASS, *elements], syntax), SALT)


def text(value: str | bytes, charset: bytes = b"", tag: int = DESCRIPTION, vr: str = "LO") -> HeaderTable:
    raw_value = value.encode() if isinstance(value, str) else value
    return taken([Written(0x00080005, "CS", charset), Written(tag, vr, raw_value)])


def number(vr: str, form: str, *values: float) -> HeaderTable:
    return taken([Written(BY_VR[vr][0], vr, struct.pack(f"<{len(values)}{form}", *values))])


@given(DATA_SETS)
def test_a_header_is_the_same_in_every_encoding(elements: list[Written]) -> None:
    tables = [taken(elements, syntax) for syntax in SYNTAXES]
    assert tables[1:] == tables[:-1]


@given(DATA_SETS)
def test_a_header_is_the_same_after_our_recoding(elements: list[Written]) -> None:
    start = file_of([CLASS, *elements])
    for target in (IMPLICIT_LE, EXPLICIT_BE):
        there = recoded(start.body[:], EXPLICIT_LE, target, signed=False)
        syntax = IMPLICIT_VR_LE if target == IMPLICIT_LE else EXPLICIT_VR_BE
        assert table.take(start.with_body(there, syntax, target), SALT) == table.take(start, SALT)
        back = recoded(there, target, EXPLICIT_LE, signed=False)
        assert table.take(start.with_body(back, EXPLICIT_VR_LE, EXPLICIT_LE), SALT) == table.take(start, SALT)


@given(DATA_SETS, st.data())
def test_every_other_header_has_another_table(elements: list[Written], data: st.DataObject) -> None:
    """Or the two mean the same, which their canonical contents then say too."""
    other = data.draw(DATA_SETS)
    same = written(_plain(elements), EXPLICIT_LE) == written(_plain(other), EXPLICIT_LE)
    if same:
        assert taken(elements) == taken(other)
    whole = [element for element in elements if element.tag not in {one.tag for one in other}]
    filled = [element for element in whole if element.vr in WIDTHS and element.value]
    if filled:
        assert taken(elements) != taken(other)


def _plain(elements: Sequence[Written]) -> list[Written]:
    return [
        element._replace(undefined=False)
        if isinstance(element.value, bytes)
        else element._replace(undefined=False, value=[_plain(inside) for inside in element.value])
        for element in elements
    ]


@given(DATA_SETS.filter(bool), st.booleans())
def test_padding_and_undefined_lengths_do_not_count(elements: list[Written], zeros: bool) -> None:
    padded = []
    for element in elements:
        if element.vr in TEXTS and isinstance(element.value, bytes):
            element = element._replace(value=element.value + (b"\0" if zeros else b" ") * 2)
        padded.append(element._replace(undefined=not element.undefined))
    assert taken(padded) == taken(elements)


@pytest.mark.parametrize(
    "syntax", sorted(row.uid for row in TABLE.values() if row.reversible and row.encoder)
)
@pytest.mark.parametrize("build", [objects.ct, objects.fundus, objects.signed_ct, objects.multi_frame])
def test_transcoding_changes_no_header(build: object, syntax: str) -> None:
    original = build(rows=32, columns=32)  # type: ignore[operator]
    again = transcode(transcode(original, syntax), IMPLICIT_VR_LE)
    for data in (transcode(original, syntax), again):
        assert not table.changes(table.take(read(original), SALT), table.take(read(data), SALT))


def test_group_lengths_do_not_count() -> None:
    with_length = written([Written(0x00080000, "UL", b"\x10\0\0\0"), CLASS], EXPLICIT_LE)
    assert table.take(read(with_meta(with_length)), SALT) == taken([])


@pytest.mark.parametrize("tag", [0x00080054, 0x00081190, 0x0040E010, 0x00880130, 0x04000561])
def test_what_archives_write_about_the_object_does_not_count(tag: int) -> None:
    vr = dictionary.vrs()[tag]
    value: bytes | list[list[Written]] = [[Written(NAME, "PN", b"X")]] if vr == "SQ" else b"X "
    assert taken([Written(tag, vr, value)]) == taken([])


# ---- private blocks

PRIVATE = [
    Written(0x00090010, "LO", b"ACME 1"),
    Written(0x00091001, "DS", b"1.5 "),
    Written(0x00091002, "FD", struct.pack("<d", 2.5)),
    Written(0x00091003, "SQ", [[Written(NAME, "PN", b"A")], []]),
    Written(0x00091004, "SQ", []),
]


@pytest.mark.parametrize("syntax", [EXPLICIT_VR_LE, IMPLICIT_VR_LE, EXPLICIT_VR_BE, DEFLATED_LE])
@pytest.mark.parametrize("undefined", [False, True])
def test_private_blocks_are_renumbered_and_turned_into_un_without_a_difference(
    syntax: str, undefined: bool
) -> None:
    kept = taken([element._replace(undefined=undefined) for element in PRIVATE])
    moved = [
        element._replace(
            tag=element.tag + 0x2300 if element.tag & 0xFF00 else element.tag + 0x23, undefined=undefined
        )
        for element in PRIVATE
    ]
    assert taken(moved, syntax) == kept
    as_un = [
        element._replace(vr="UN", value=_items_as_un(element))
        if not isinstance(element.value, bytes)
        else element._replace(vr="UN" if element.tag & 0xFF00 else "LO")
        for element in moved
    ]
    assert taken(as_un) == kept


def _items_as_un(element: Written) -> bytes:
    assert not isinstance(element.value, bytes)
    return b"".join(item(written(inside, IMPLICIT_LE), IMPLICIT_LE) for inside in element.value)


@pytest.mark.parametrize(
    ("tag", "change"),
    [
        (0x00091001, {"value": b"1.6 "}),
        (0x00091001, {"tag": 0x00091009}),
        (0x00090010, {"value": b"ACME 2"}),
        (0x00091003, {"value": [[], [Written(NAME, "PN", b"A")]]}),
        (0x00091003, {"value": [[Written(NAME, "PN", b"A")]]}),
    ],
    ids=["value", "element", "creator", "order", "item"],
)
def test_another_private_value_is_another_block(tag: int, change: dict[str, object]) -> None:
    other = [element._replace(**change) if element.tag == tag else element for element in PRIVATE]  # type: ignore[arg-type]
    assert taken(other).private != taken(PRIVATE).private
    assert taken(other).elements == taken(PRIVATE).elements


def test_a_creator_without_elements_and_elements_without_a_creator_are_no_block() -> None:
    alone = [
        Written(0x00090010, "LO", b"ACME"),
        Written(0x000B0010, "LO", b" "),
        Written(0x000B1001, "LO", b"A"),
    ]
    assert not taken([*alone, Written(0x000D1001, "LO", b"A")]).private


def test_a_private_value_does_not_pass_for_a_sequence() -> None:
    """A sequence of one empty item, and the value that its bytes would be behind a length."""
    as_sequence = [PRIVATE[0], Written(0x00091001, "SQ", [[]])]
    as_value = [PRIVATE[0], Written(0x00091001, "OB", struct.pack("<II", 1, 0))]
    assert taken(as_sequence).private != taken(as_value).private


def test_a_private_value_that_only_begins_like_items_is_bytes() -> None:
    damaged = item(b"\x10\0", IMPLICIT_LE)
    assert taken([PRIVATE[0], Written(0x00091001, "UN", damaged)]) != taken([PRIVATE[0]])
    assert taken([PRIVATE[0], Written(0x00091001, "UN", damaged)]) == taken(
        [PRIVATE[0], Written(0x00091001, "OB", damaged)]
    )


# ---- text

JAPANESE = "Yamada^Tarou=山田^太郎=やまだ^たろう"
CHARSETS = [
    (b"ISO_IR 100", "Buc^Jérôme", "Buc^Jérôme".encode("latin-1")),
    (b"ISO_IR 101", "Wałęsa", "Wałęsa".encode("iso8859-2")),
    (b"ISO_IR 144", "Жданов", "Жданов".encode("iso8859-5")),
    (b"ISO_IR 127", "قباني^لنزار", "قباني^لنزار".encode("iso8859-6")),
    (b"ISO_IR 126", "Διονυσιος", "Διονυσιος".encode("iso8859-7")),
    (b"ISO_IR 138", "שרון^דבורה", "שרון^דבורה".encode("iso8859-8")),
    (b"ISO_IR 166", "นามสกุล", "นามสกุล".encode("tis-620")),
    (b"ISO_IR 203", "Œuvre€", "Œuvre€".encode("iso8859-15")),
    (
        b"\\ISO 2022 IR 87",
        JAPANESE,
        b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
    ),
    (
        b"ISO 2022 IR 13\\ISO 2022 IR 87",
        "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
        b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J=\x1b$B$d$^$@\x1b(J^\x1b$B$?$m$&\x1b(J",
    ),
    (
        b"\\ISO 2022 IR 149",
        "Hong^Gildong=洪^吉洞=홍^길동",
        b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
    ),
    (
        b"\\ISO 2022 IR 58",
        "Zhang^XiaoDong=张^小东",
        b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab=",
    ),
    (b"GB18030", "Wang^XiaoDong=王^小东", "Wang^XiaoDong=王^小东=".encode("gb18030")),
    (b"GBK", "王^小東", "王^小東".encode("gbk")),
    (b"ISO_IR 13", "ﾔﾏﾀﾞ", b"\xd4\xcf\xc0\xde"),
]


@pytest.mark.parametrize(("charset", "name", "encoded"), CHARSETS, ids=[str(row[0]) for row in CHARSETS])
def test_a_name_is_the_same_in_another_character_set(charset: bytes, name: str, encoded: bytes) -> None:
    in_utf8 = text(name, b"ISO_IR 192", NAME, "PN")
    assert text(encoded, charset, NAME, "PN") == in_utf8
    assert text(encoded + b" ", charset, NAME, "PN") == in_utf8


@pytest.mark.parametrize(
    ("charset", "encoded"), [(row[0], row[2]) for row in CHARSETS], ids=[str(row[0]) for row in CHARSETS]
)
def test_another_label_makes_another_text(charset: bytes, encoded: bytes) -> None:
    label = b"ISO_IR 192" if charset != b"ISO_IR 192" else b"ISO_IR 100"
    if b"\x1b" not in encoded:
        # Escape sequences tell their sets themselves.
        assert text(encoded, label, NAME, "PN") != text(encoded, charset, NAME, "PN")


ALPHABETS = {
    "ISO_IR 100": "aZ äöüßéÿ", "ISO_IR 109": "aĦħŭ", "ISO_IR 110": "aĀŧ", "ISO_IR 148": "aĞşÇ",
    "ISO_IR 192": "aé山홍𝄞",
    "GB18030": "a王€𝄞", "\\ISO 2022 IR 87": "aZ山田太郎", "\\ISO 2022 IR 149": "aZ홍길동",
}  # fmt: skip


@given(st.sampled_from(sorted(ALPHABETS)), st.data())
def test_names_in_three_groups_are_the_same_in_utf8(charset: str, data: st.DataObject) -> None:
    part = st.text(ALPHABETS[charset].replace(" ", ""), max_size=4)
    group = st.lists(part, max_size=3).map("^".join)
    name = "=".join(data.draw(st.lists(group, max_size=3)))
    encodings = convert_encodings(charset.split("\\"))
    encoded = PersonName(name).encode(encodings)
    assert text(encoded, charset.encode(), NAME, "PN") == text(name, b"ISO_IR 192", NAME, "PN")


@pytest.mark.parametrize(
    ("name", "other"), [("A^B^^", "A^B"), ("A^B==", "A^B"), (" A^B ", "A^B"), ("A^B ^=C", "A^B=C")]
)
def test_what_is_insignificant_in_a_name_does_not_count(name: str, other: str) -> None:
    assert text(name, tag=NAME, vr="PN") == text(other, tag=NAME, vr="PN")


@pytest.mark.parametrize(
    ("vr", "value", "other"),
    [
        ("PN", b"A^B", b"A^C"),
        ("PN", b"A^B", b"A=B"),
        ("PN", b"A^^B", b"A^B"),
        ("PN", b"=A", b"A"),
        ("PN", b"A\\B", b"A"),
        ("LO", b"A\\B", b"B\\A"),
        ("LO", b"A\\", b"A"),
        ("LO", b"A\0B", b"AB"),
        ("LO", b"A\0B", b"A B"),
        ("LO", b"A\0\\B", b"A\0x\\B"),
        ("LO", b"A B", b"A  B"),
        ("LO", b"a", b"A"),
        ("LO", b"\xe9", b"\xc3\xa9"),
    ],
)
def test_other_text_is_told(vr: str, value: bytes, other: bytes) -> None:
    tag = NAME if vr == "PN" else DESCRIPTION
    assert text(value, tag=tag, vr=vr) != text(other, tag=tag, vr=vr)


def test_blanks_before_a_long_text_count() -> None:
    assert text("  A", tag=ADDRESS, vr="ST") != text("A", tag=ADDRESS, vr="ST")
    assert text("A\\ B", tag=ADDRESS, vr="ST") != text("A\\B", tag=ADDRESS, vr="ST")


def test_text_that_is_none_is_compared_by_its_bytes() -> None:
    broken = text(b"\xff\xfe", b"ISO_IR 192")
    assert broken == text(b"\xff\xfe  ", b"ISO_IR 192")
    assert broken != text(b"\xff\xfd", b"ISO_IR 192")
    assert broken != text(b"\xff\xfe", b"ISO_IR 100")


def test_an_item_may_have_its_own_character_set() -> None:
    def nested(charset: bytes, value: bytes) -> HeaderTable:
        inside = [Written(0x00080005, "CS", charset), Written(0x00080104, "LO", value)]
        return taken([Written(0x00080005, "CS", b"ISO_IR 192"), Written(0x00081032, "SQ", [inside])])

    assert nested(b"ISO_IR 100", b"\xe9") == nested(b"ISO_IR 192", b"\xc3\xa9")
    assert nested(b"ISO_IR 100", b"\xe9") != nested(b"ISO_IR 192", b"\xe9")


# ---- numbers


@pytest.mark.parametrize(
    ("value", "other"),
    [
        ("1.50", "1.5"), ("+1", "1"), (" 1 ", "1"), ("1e2", "100"), ("-0", "0"), (".5", "0.5"), ("5.", "5"),
        ("1\\02", "1\\2"),
    ],
)  # fmt: skip
def test_one_decimal_number_has_many_forms(value: str, other: str) -> None:
    assert text(value, tag=0x00281053, vr="DS") == text(other, tag=0x00281053, vr="DS")


@given(st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**6), max_value=10**6))
def test_decimal_numbers_are_compared_exactly(number_drawn: object) -> None:
    value = f"{number_drawn}"
    last = value[:-1] + ("1" if value[-1] != "1" else "2")
    assert text(value, tag=0x00281053, vr="DS") != text(last, tag=0x00281053, vr="DS")
    assert text(value + "0", tag=0x00281053, vr="DS") == text(value, tag=0x00281053, vr="DS")


@pytest.mark.parametrize(
    ("value", "other"),
    [("1", "-1"), ("1", "10"), ("1.0000000001", "1"), ("abc", "abd"), ("1\\2", "2\\1"), ("1e1", "1e2"), ("1", "")],
)  # fmt: skip
def test_other_decimal_numbers_are_told(value: str, other: str) -> None:
    assert text(value, tag=0x00281053, vr="DS") != text(other, tag=0x00281053, vr="DS")


def test_other_binary_numbers_are_told() -> None:
    assert number("FD", "d", 0.0) != number("FD", "d", -0.0)
    assert number("FD", "d", 1.0) != number("FD", "d", 1.0 + 2**-52)
    assert number("FL", "f", 1.0) != number("FL", "f", 1.0 + 2**-23)
    assert number("US", "H", 1, 2) != number("US", "H", 2, 1)
    assert number("UL", "I", 1) != number("UL", "I", 1, 0)


def test_every_not_a_number_is_the_same_one() -> None:
    quiet, signalling = b"\0\0\xc0\x7f", b"\x01\0\x80\x7f"
    tag = BY_VR["FL"][0]
    assert taken([Written(tag, "FL", quiet)]) == taken([Written(tag, "FL", signalling)])


@pytest.mark.parametrize(
    ("vr", "other", "value"),
    [
        ("US", "SS", b"\xff\xff"), ("FD", "SL", struct.pack("<d", 1.0)), ("DS", "LO", b"1.5 "), ("LO", "UT", b" A"),
        ("UL", "US", b"\1\0\0\0"),
    ],
)  # fmt: skip
def test_a_value_read_by_another_vr_is_another_value(vr: str, other: str, value: bytes) -> None:
    tag = 0x00280106
    assert taken([Written(tag, vr, value)]) != taken([Written(tag, other, value)])


@pytest.mark.parametrize("signed", [0, 1])
def test_pixel_representation_tells_what_an_ambiguous_number_is(signed: int) -> None:
    representation = Written(0x00280103, "US", struct.pack("<H", signed))
    value, vr = b"\xfe\xff", "SS" if signed else "US"
    explicit = taken([representation, Written(0x00280106, vr, value)])
    assert taken([representation, Written(0x00280106, vr, value)], IMPLICIT_VR_LE) == explicit
    wrong = "US" if signed else "SS"
    assert taken([representation, Written(0x00280106, wrong, value)]) != explicit


# ---- sequences


def test_items_and_their_elements_are_told() -> None:
    def nested(*contents: Sequence[Written]) -> HeaderTable:
        return taken([Written(0x00081140, "SQ", list(contents))])

    one, two = Written(0x00081150, "UI", b"1.2"), Written(0x00081155, "UI", b"1.3")
    first = nested([one], [two])
    others = [
        nested([two], [one]),
        nested([one, two]),
        nested([one], [two], []),
        nested([one]),
        nested([one], [one]),
        nested(),
    ]
    assert all(first != other for other in others)
    assert nested() == taken([])
    assert nested([one, two._replace(value=b"")]) == nested([one])


def test_an_icon_in_an_item_counts() -> None:
    def icon(value: bytes) -> HeaderTable:
        return taken([Written(0x00880200, "SQ", [[Written(0x7FE00010, "OW", value)]])])

    assert icon(b"\1\0") != icon(b"\2\0")


def test_an_item_of_the_per_frame_groups_has_a_digest_of_its_own() -> None:
    def frames(*values: bytes) -> tuple[bytes, ...]:
        return taken([Written(0x52009230, "SQ", [[Written(NAME, "LO", value)] for value in values])]).frames

    three = frames(b"A", b"B", b"A")
    assert len({*three}) == 3
    assert frames(b"A", b"C", b"A")[1] != three[1]
    assert frames(b"A", b"C", b"A")[::2] == three[::2]


@pytest.mark.parametrize("deep", [NESTING_MAX + 1, NESTING_MAX + 2])
def test_sequences_deeper_than_sixty_are_refused(deep: int) -> None:
    element = Written(NAME, "PN", b"A")
    for _ in range(deep):
        element = Written(0x00081140, "SQ", [[element]])
    if deep <= NESTING_MAX + 1:
        assert taken([element]).elements
        return
    with pytest.raises(UnreadableObject, match="nested too deeply"):
        taken([element])


@given(st.binary(max_size=300))
def test_taking_a_header_of_anything_raises_only_what_is_promised(body: bytes) -> None:
    for syntax in SYNTAXES[:3]:
        try:
            file: Part10 = read(with_meta(written([CLASS], syntax_of(syntax).encoding) + body, syntax))
            found = table.take(file, SALT)
        except UnreadableObject:
            continue
        assert table.decode(table.encode(found)) == found


def test_a_value_of_an_unknown_standard_element_is_its_bytes() -> None:
    assert 0x00189FFE not in dictionary.vrs()
    unknown = raw(0x00189FFE, "LO", b"X ")
    file = read(with_meta(written([CLASS], EXPLICIT_LE) + unknown))
    assert 0x00189FFE in table.take(file, SALT).elements
