"""The bytes that a signature covers, compared with those of DCMTK's dcmsign, which shares no line with ours."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.filereader import dcmread
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from gateway.dicom.elements import EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE, Encoding, encode, items, walk
from gateway.dicom.file_meta import wrap
from gateway.dicom.part10 import Part10, read
from gateway.seal.standard_signature.mac import ElementReader
from tests.support import objects
from tests.support.dcmtk import run
from tests.support.time_stamp_authority import Pair, SigningAuthority

SYNTAXES: list[str] = [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian]


@pytest.fixture(scope="session")
def pair(authority: SigningAuthority) -> Pair:
    return authority.signer("dcmsign")


def ours(data: bytes, tags: set[int] | None = None) -> bytes:
    """What a signature covers of the data set: of all that can be signed, or of these tags."""
    file = read(data)
    reader = ElementReader.of(file)
    return b"".join(
        piece
        for element in file.elements
        if (reader.can_be_signed(element) if tags is None else element.tag in tags)
        for piece in reader.encoded(element)
    )


def of_dcmsign(data: bytes, folder: Path, pair: Pair) -> tuple[bytes, set[int]]:
    """What dcmsign feeds into its MAC, and the tags that it lists."""
    plain, signed, dump = folder / "plain.dcm", folder / "signed.dcm", folder / "mac"
    dump.unlink(missing_ok=True)
    plain.write_bytes(data)
    options = ["+m2", "+d", str(dump)]
    done = run("dcmsign", ["+s", str(pair.key), str(pair.certificate), *options, str(plain), str(signed)])
    assert done.returncode == 0, done.stderr
    return dump.read_bytes(), set(_tags_listed(read(signed.read_bytes())))


def _tags_listed(file: Part10) -> list[int]:
    sequence = file.index[0x4FFE0001]
    item = items(file.body, sequence, file.encoding)[0]
    values = {
        element.tag: file.body[element.value : element.end]
        for element in walk(file.body, item.value, item.stop, file.encoding)
    }
    listed = values[0x04000020]
    numbers = struct.unpack(file.encoding.order + f"{len(listed) // 2}H", listed)
    return [group << 16 | element for group, element in zip(numbers[::2], numbers[1::2], strict=True)]


def assert_as_dcmsign(data: bytes, folder: Path, pair: Pair) -> None:
    theirs, tags = of_dcmsign(data, folder, pair)
    covered = ours(data, tags)
    # Behind the data set follow the elements of the signature's own item, from its MAC ID on.
    assert theirs[: len(covered)] == covered
    assert theirs[len(covered) :].startswith(b"\x00\x04\x05\x00US\x02\x00")
    file = read(data)
    reader = ElementReader.of(file)
    assert {element.tag for element in file.elements if reader.can_be_signed(element)} == tags


@pytest.fixture(scope="session")
def with_everything(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The same image in each of the syntaxes."""
    folder = tmp_path_factory.mktemp("syntaxes")
    explicit, other = folder / "explicit.dcm", folder / "other.dcm"
    explicit.write_bytes(_everything())
    written = {}
    for syntax, option in zip(SYNTAXES, ("+ti", "+te", "+tb"), strict=True):
        assert run("dcmconv", [option, str(explicit), str(other)]).returncode == 0
        written[syntax] = other.read_bytes()
    return written


def _everything() -> bytes:
    """An image with sequences in sequences, empty items, numbers of every width, and ambiguous VRs."""
    dataset = dcmread(io.BytesIO(objects.signed_ct(rows=16, columns=16)))
    inner, empty, icon = Dataset(), Dataset(), Dataset()
    inner.CodeValue, inner.CodingSchemeDesignator, inner.CodeMeaning = "T-1", "SRT", "odd"
    outer = Dataset()
    outer.CodeValue, outer.AnatomicRegionModifierSequence = "T-2", [inner, empty]
    dataset.AnatomicRegionSequence = [outer, empty]
    dataset.PrimaryAnatomicStructureSequence = []
    icon.Rows = icon.Columns = 2
    icon.BitsAllocated, icon.BitsStored, icon.HighBit, icon.PixelRepresentation = 16, 16, 15, 0
    icon.SamplesPerPixel, icon.PhotometricInterpretation = 1, "MONOCHROME2"
    icon.add_new(0x00280106, "US", 40000)
    icon.add_new(0x7FE00010, "OW", bytes(range(8)))
    dataset.IconImageSequence = [icon]
    dataset.add_new(0x00280106, "SS", -5)
    dataset.SimpleFrameList = [1, 2, 3]
    dataset.MagneticFieldStrength = 1.5
    dataset.TagAngleFirstAxis = -0.25
    dataset.FrameIncrementPointer = [0x00181063, 0x00181065]
    dataset.add_new(0x00280108, "SS", -7)
    dataset.add_new(0x60000010, "US", 16)
    dataset.add_new(0x60003000, "OW", bytes(range(32)))
    dataset.ImageComments = "with spaces     "
    dataset.InstitutionName = "   "
    return objects.as_file(dataset)


@pytest.mark.parametrize("syntax", SYNTAXES, ids=["implicit", "explicit", "big endian"])
def test_dcmsign_computes_its_mac_over_the_same_bytes(
    tmp_path: Path, pair: Pair, with_everything: dict[str, bytes], syntax: str
) -> None:
    assert_as_dcmsign(with_everything[syntax], tmp_path, pair)


def test_the_bytes_do_not_depend_on_the_syntax(with_everything: dict[str, bytes]) -> None:
    assert len(set(with_everything.values())) == 3
    assert len({ours(data) for data in with_everything.values()}) == 1


def test_lengths_defined_or_not_are_in_no_signature(
    tmp_path: Path, with_everything: dict[str, bytes]
) -> None:
    defined, undefined = tmp_path / "defined.dcm", tmp_path / "undefined.dcm"
    defined.write_bytes(with_everything[ExplicitVRLittleEndian])
    assert run("dcmconv", ["-e", str(defined), str(undefined)]).returncode == 0
    assert undefined.read_bytes() != defined.read_bytes()
    assert ours(undefined.read_bytes()) == ours(defined.read_bytes())


@pytest.mark.parametrize(
    ("encoder", "image"),
    [("dcmcrle", objects.fundus), ("dcmcjpls", objects.ct), ("dcmcjpeg", objects.ct)],
    ids=["RLE", "JPEG-LS", "JPEG"],
)
def test_fragments_are_covered_as_dcmsign_covers_them(
    tmp_path: Path, pair: Pair, encoder: str, image: Callable[..., bytes]
) -> None:
    plain, compressed = tmp_path / "image.dcm", tmp_path / "compressed.dcm"
    plain.write_bytes(image(rows=32, columns=32))
    assert run(encoder, [str(plain), str(compressed)]).returncode == 0
    assert_as_dcmsign(compressed.read_bytes(), tmp_path, pair)


def test_a_piece_that_is_read_later_is_covered_like_one_in_memory(
    with_everything: dict[str, bytes],
) -> None:
    class Elsewhere:
        """Bytes that are no `bytes`, as those of a long file."""

        def __init__(self, data: bytes) -> None:
            self._data = data

        def __len__(self) -> int:
            return len(self._data)

        def __getitem__(self, where: slice, /) -> bytes:
            return self._data[where]

    data = with_everything[ExplicitVRBigEndian]
    file = read(Elsewhere(data))
    reader = ElementReader.of(file)
    pieces = [
        piece
        for element in file.elements
        if reader.can_be_signed(element)
        for piece in reader.encoded(element)
    ]
    assert b"".join(pieces) == ours(data)


@pytest.mark.parametrize(
    ("tag", "vr", "value"),
    [
        (0x00091001, "UN", b"what is it"),
        (0x00080001, "UL", 12),
        (0xFFFCFFFC, "OB", b"\0\0"),
    ],
    ids=["unknown VR", "length to end", "trailing padding"],
)
def test_what_the_rules_forbid_is_in_no_signature(tag: int, vr: str, value: object) -> None:
    dataset = dcmread(io.BytesIO(objects.ct(rows=16, columns=16)))
    before = ours(objects.as_file(dataset))
    dataset.add_new(tag, vr, value)
    assert ours(objects.as_file(dataset)) == before


def test_a_sequence_with_an_unknown_vr_inside_is_not_signed() -> None:
    dataset = dcmread(io.BytesIO(objects.ct(rows=16, columns=16)))
    before = ours(objects.as_file(dataset))
    item, inner = Dataset(), Dataset()
    inner.add_new(0x00091001, "UN", b"what is it")
    item.AnatomicRegionModifierSequence = [inner]
    dataset.AnatomicRegionSequence = [item]
    assert ours(objects.as_file(dataset)) == before


TEXTS = {
    0x00080080: b"LO", 0x00081010: b"SH", 0x00181002: b"UI", 0x00280300: b"CS", 0x00100010: b"PN",
    0x00204000: b"LT", 0x00181050: b"DS", 0x00200012: b"IS", 0x0040A492: b"UT", 0x00080012: b"DA",
}  # fmt: skip
ENCODINGS: dict[str, Encoding] = {
    ImplicitVRLittleEndian: IMPLICIT_LE,
    ExplicitVRLittleEndian: EXPLICIT_LE,
    ExplicitVRBigEndian: EXPLICIT_BE,
}


@settings(max_examples=25)
@given(
    texts=st.dictionaries(
        st.sampled_from(sorted(TEXTS)), st.from_regex(rb"(1[1. ]{0,8})?", fullmatch=True), min_size=1
    ),
    syntax=st.sampled_from(SYNTAXES),
)
def test_padding_counts_for_us_as_it_does_for_dcmsign(
    tmp_path_factory: pytest.TempPathFactory, pair: Pair, texts: dict[int, bytes], syntax: str
) -> None:
    # DCMTK also removes blanks inside of a UID, where none may be (PS3.5 9.1).
    elements = {
        tag: (TEXTS[tag], text.replace(b" ", b"") if TEXTS[tag] == b"UI" else text)
        for tag, text in texts.items()
    }
    elements |= {0x00080016: (b"UI", b"1.2.840.10008.5.1.4.1.1.7"), 0x00080018: (b"UI", b"1.2.3")}
    data = wrap(sop_class="1.2.840.10008.5.1.4.1.1.7", sop_instance="1.2.3", syntax=syntax) + b"".join(
        encode(tag, vr, value, ENCODINGS[syntax]) for tag, (vr, value) in sorted(elements.items())
    )
    assert_as_dcmsign(data, tmp_path_factory.mktemp("padding"), pair)
