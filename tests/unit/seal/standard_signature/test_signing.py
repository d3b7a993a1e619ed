"""Digital signatures of sealed objects: what DCMTK's dcmsign says of them, and what we say."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gateway.dicom.elements import EXPLICIT_LE, encode
from gateway.dicom.part10 import Part10, read
from gateway.keys import CertificateTrust, CertifiedSigner, load_certificates, load_certified_signer
from gateway.seal.block import private_block
from gateway.seal.standard_signature import items
from gateway.seal.standard_signature.checking import (
    SIGNATURES_MAX,
    SignatureState,
    StampState,
    StandardSignature,
    check_standard_signatures,
)
from gateway.seal.standard_signature.profile import profile_tags
from gateway.seal.standard_signature.signing import removal, sign, signature_uid
from tests.support import objects
from tests.support.dcmtk import remove_private_elements, run, set_element, transcode
from tests.support.desk import Desk
from tests.support.time_stamp_authority import Kind, SigningAuthority
from tests.unit.seal.standard_signature.conftest import NOW

Writer = Callable[[bytes], Path]
StampOf = Callable[[bytes], bytes]
CREATOR_PROFILE = "+rc"
DIGEST = 0x00711003


@pytest.fixture(scope="session")
def signed_ct(sealed_ct: bytes, signer: CertifiedSigner, stamp_of: StampOf) -> bytes:
    signed, _ = sign(sealed_ct, signer, now=NOW, time_stamp=stamp_of)
    return signed


def dcmsign(path: Path, authority: SigningAuthority, *options: str) -> str:
    """All that dcmsign says of an object."""
    finished = run("dcmsign", ["-v", "+cf", str(authority.certificate), *options, str(path)])
    return finished.stdout + finished.stderr


def changed_by_dcmodify(data: bytes, written: Writer, element: str) -> Path:
    path = written(data)
    changed = path.with_suffix(".changed")
    set_element(path, changed, element)
    return changed


def only(file: Part10, trusted: CertificateTrust | None = None) -> StandardSignature:
    (checked,) = check_standard_signatures(file, trusted=trusted)
    return checked


# -- Strangers check it.


def test_dcmsign_verifies_signature_and_time_stamp_under_the_creator_profile(
    signed_ct: bytes, authority: SigningAuthority, written: Writer
) -> None:
    said = dcmsign(written(signed_ct), authority, CREATOR_PROFILE, "--require-ts")
    assert "Signature Verification      : OK" in said
    assert "Timestamp Verification      : OK" in said
    assert "1 signatures verified in dataset, 0 corrupted" in said


@pytest.mark.parametrize("option", ["+ti", "+te", "+tb"], ids=["implicit", "explicit", "big endian"])
def test_dcmsign_verifies_objects_that_came_in_any_uncompressed_syntax(
    desk: Desk, signer: CertifiedSigner, authority: SigningAuthority, written: Writer, option: str
) -> None:
    path = written(objects.signed_ct(rows=64, columns=64))
    assert run("dcmconv", [option, str(path), str(path)]).returncode == 0
    signed, _ = sign(desk.seal(path.read_bytes())[0], signer, now=NOW)
    said = dcmsign(written(signed), authority, CREATOR_PROFILE)
    assert "Signature Verification      : OK" in said
    assert only(read(signed)).state is SignatureState.VALID


@pytest.mark.parametrize("encoder", ["dcmcjpls", "dcmcrle", "dcmcjpeg"])
def test_dcmsign_verifies_compressed_objects(
    desk: Desk, signer: CertifiedSigner, authority: SigningAuthority, written: Writer, encoder: str
) -> None:
    path = written(objects.ct(rows=64, columns=64))
    assert run(encoder, [str(path), str(path)]).returncode == 0
    signed, _ = sign(desk.seal(path.read_bytes())[0], signer, now=NOW)
    assert "Signature Verification      : OK" in dcmsign(written(signed), authority, CREATOR_PROFILE)
    assert only(read(signed)).state is SignatureState.VALID


def test_dcmsign_verifies_an_object_without_pixels(
    desk: Desk, signer: CertifiedSigner, authority: SigningAuthority, written: Writer
) -> None:
    signed, _ = sign(desk.seal(objects.report())[0], signer, now=NOW)
    assert "Signature Verification      : OK" in dcmsign(written(signed), authority, CREATOR_PROFILE)


def test_dcmsign_verifies_ecdsa_where_no_profile_is_asked_for(
    sealed_ct: bytes, authority: SigningAuthority, written: Writer, stamp_of: StampOf, trust: CertificateTrust
) -> None:
    pair = authority.signer("curve", "p256")
    signer = load_certified_signer(pair.key, pair.certificate)
    # A signature in DER is 70, 71 or 72 bytes long, and is padded or not.
    for _ in range(6):
        signed, _ = sign(sealed_ct, signer, now=NOW, time_stamp=stamp_of)
        said = dcmsign(written(signed), authority)
        assert "Signature Verification      : OK" in said
        assert "Timestamp Verification      : OK" in said
        checked = only(read(signed), trust)
        assert (checked.state, checked.stamp) == (SignatureState.VALID, StampState.VALID)


def test_what_dcmsign_signs_we_verify(
    sealed_ct: bytes, authority: SigningAuthority, trust: CertificateTrust, written: Writer
) -> None:
    pair = authority.signer("dcmsign-other")
    plain = written(sealed_ct)
    signed = plain.with_suffix(".signed")
    for options in (["+pc", "+m2"], ["+m3"], ["+m5"]):
        arguments = ["+s", str(pair.key), str(pair.certificate), *options, str(plain), str(signed)]
        assert run("dcmsign", arguments).returncode == 0
        checked = only(read(signed.read_bytes()), trust)
        assert (checked.state, checked.trusted, checked.of_this_seal) == (SignatureState.VALID, True, False)


# -- What it covers.


def test_the_signature_covers_the_profile_and_our_digest(signed_ct: bytes) -> None:
    file, checked = read(signed_ct), only(read(signed_ct))
    assert set(checked.tags) == {tag for tag in file.index if tag in profile_tags()} | {0x00710010, DIGEST}
    assert checked.uncovered == ()


def test_a_signature_belongs_to_one_seal(desk: Desk, signed_ct: bytes) -> None:
    assert only(read(signed_ct)).of_this_seal
    other = read(desk.seal(objects.ct(rows=64, columns=64, ImageComments="as received"))[0])
    moved = {
        tag: read(signed_ct).body[element.start : element.end]
        for tag, element in read(signed_ct).index.items()
        if tag in (0x4FFE0001, 0xFFFAFFFA)
    }
    assert not only(read(other.edited(moved))).of_this_seal


def test_the_uid_of_a_signature_is_a_uuid_below_2_25_and_follows_from_the_statement() -> None:
    uid = signature_uid(b"statement")
    assert uid == signature_uid(b"statement\0")
    assert uid != signature_uid(b"Statement")
    number = int(uid.removeprefix("2.25."))
    assert (number >> 76 & 0xF, number >> 62 & 0x3) == (8, 2)
    assert uid == "2.25.276908314029344763825022881929860516446"


def test_an_element_of_the_profile_that_came_later_is_told(signed_ct: bytes) -> None:
    added = {0x00280300: encode(0x00280300, b"CS", b"YES", EXPLICIT_LE)}
    checked = only(read(read(signed_ct).edited(added)))
    assert (checked.state, checked.uncovered) == (SignatureState.VALID, (0x00280300,))


# -- What breaks it, and what does not.


@pytest.mark.parametrize(
    "element", ["StudyInstanceUID=1.2.3", "ImageComments=changed", "Manufacturer=Other", "Columns=32"]
)
def test_a_changed_element_breaks_the_signature_for_dcmsign_and_for_us(
    signed_ct: bytes,
    authority: SigningAuthority,
    trust: CertificateTrust,
    written: Writer,
    element: str,
) -> None:
    path = changed_by_dcmodify(signed_ct, written, element)
    assert "Signature Verification      : OK" not in dcmsign(path, authority)
    checked = only(read(path.read_bytes()), trust)
    assert checked.state is SignatureState.BROKEN
    # The stamp is over the value of the signature, which nobody touched.
    assert checked.stamp is StampState.VALID


def test_one_bit_of_a_pixel_breaks_it(signed_ct: bytes) -> None:
    at = read(signed_ct).index[0x7FE00010].value + len(signed_ct) - len(read(signed_ct).body)
    changed = signed_ct[:at] + bytes([signed_ct[at] ^ 1]) + signed_ct[at + 1 :]
    assert only(read(changed)).state is SignatureState.BROKEN


def test_coercion_of_the_patient_leaves_it_valid(
    signed_ct: bytes, authority: SigningAuthority, written: Writer
) -> None:
    path = changed_by_dcmodify(signed_ct, written, "PatientName=Corrected^Name")
    assert "Signature Verification      : OK" in dcmsign(path, authority)
    assert only(read(path.read_bytes())).state is SignatureState.VALID


def test_coercion_of_a_covered_element_breaks_it_and_the_seal_tells_which(
    desk: Desk, signed_ct: bytes, written: Writer
) -> None:
    coerced = changed_by_dcmodify(signed_ct, written, "StudyInstanceUID=1.2.3").read_bytes()
    checked = only(read(coerced))
    assert checked.state is SignatureState.BROKEN
    changed = [0x0020000D, 0x00100010]
    assert checked.changed_among(changed) == ("StudyInstanceUID",)
    assert [difference["keyword"] for difference in desk.verify(coerced).header_differences] == [
        "StudyInstanceUID"
    ]


def test_removing_private_elements_breaks_it_and_names_the_digest(signed_ct: bytes, written: Writer) -> None:
    path = written(signed_ct)
    stripped = path.with_suffix(".stripped")
    remove_private_elements(path, stripped)
    checked = only(read(stripped.read_bytes()))
    assert (checked.state, checked.of_this_seal) == (SignatureState.BROKEN, False)
    assert checked.missing == (0x00710010, DIGEST)


def test_it_survives_a_change_of_the_syntax_for_us_also_where_our_digest_lost_its_vr(
    signed_ct: bytes, written: Writer
) -> None:
    for option in ("+ti", "+tb", "+te"):
        path = written(signed_ct)
        assert run("dcmconv", [option, str(path), str(path)]).returncode == 0
        assert only(read(path.read_bytes())).state is SignatureState.VALID


def test_an_element_that_is_there_twice_breaks_it(signed_ct: bytes) -> None:
    file = read(signed_ct)
    element = file.index[0x00200013]
    twice = file.body[element.start : element.end]
    at = len(signed_ct) - len(file.body) + element.end
    assert only(read(signed_ct[:at] + twice + signed_ct[at:])).state is SignatureState.BROKEN


# -- Who signed, and when.


def test_nobody_is_believed_who_was_not_named(
    signed_ct: bytes, tmp_path: Path, trust: CertificateTrust
) -> None:
    stranger = SigningAuthority(tmp_path)
    strange = CertificateTrust(load_certificates(stranger.certificate))
    checked = only(read(signed_ct), strange)
    assert (checked.state, checked.trusted, checked.stamp) == (
        SignatureState.VALID,
        False,
        StampState.UNTRUSTED,
    )
    unnamed = only(read(signed_ct))
    assert (unnamed.trusted, unnamed.stamp) == (None, StampState.UNTRUSTED)
    assert only(read(signed_ct), trust).trusted


def test_a_certificate_may_be_trusted_by_itself(signed_ct: bytes, signer: CertifiedSigner) -> None:
    assert only(read(signed_ct), CertificateTrust((signer.certificate,))).trusted


def test_a_self_signed_certificate_with_the_name_of_the_authority_is_not_believed(
    sealed_ct: bytes, tmp_path: Path, trust: CertificateTrust
) -> None:
    same_name = SigningAuthority(tmp_path)
    pair = same_name.signer()
    signed, _ = sign(sealed_ct, load_certified_signer(pair.key, pair.certificate), now=NOW)
    checked = only(read(signed), trust)
    assert (checked.state, checked.trusted) == (SignatureState.VALID, False)


def test_a_certificate_that_was_issued_by_a_certificate_of_the_authority_that_issues_none_is_not_believed(
    sealed_ct: bytes, tmp_path: Path, authority: SigningAuthority, trust: CertificateTrust
) -> None:
    leaf = authority.signer("leaf")
    forged = SigningAuthority(tmp_path, name="leaf", key=leaf.key).signer("forged")
    signed, _ = sign(sealed_ct, load_certified_signer(forged.key, forged.certificate), now=NOW)
    both = CertificateTrust((*trust.certificates, *load_certificates(leaf.certificate)))
    assert only(read(signed), both).trusted is False


def test_a_signature_that_says_a_time_before_its_certificate_is_not_believed(
    sealed_ct: bytes, authority: SigningAuthority, trust: CertificateTrust
) -> None:
    pair = authority.signer("young", age_days=-1, days=30)
    signer = load_certified_signer(pair.key, pair.certificate)
    later = signer.certificate.not_valid_before_utc + timedelta(days=1)
    signed, _ = sign(sealed_ct, signer, now=later)
    assert only(read(signed), trust).trusted is True
    assert not signer.valid_at(NOW)


def test_a_stamp_over_another_signature_is_broken(
    sealed_ct: bytes, signer: CertifiedSigner, stamp_of: StampOf, trust: CertificateTrust
) -> None:
    signed, result = sign(sealed_ct, signer, now=NOW, time_stamp=lambda _: stamp_of(b"something else"))
    assert result.reason == "stamped"
    checked = only(read(signed), trust)
    assert (checked.state, checked.stamp) == (SignatureState.VALID, StampState.BROKEN)


@given(at=st.integers(min_value=0), bit=st.integers(0, 7))
def test_one_wrong_bit_in_a_stamp_changes_no_time_and_is_no_error(
    sealed_ct: bytes, signed_ct: bytes, signer: CertifiedSigner, trust: CertificateTrust, at: int, bit: int
) -> None:
    (original,) = (signature.values[items.STAMP] for signature in items.signatures(read(signed_ct)))
    token = bytearray(original)
    at %= len(token)
    token[at] ^= 1 << bit
    signed, _ = sign(sealed_ct, signer, now=NOW, time_stamp=lambda _: bytes(token))
    checked = only(read(signed), trust)
    # A few bits of a token are in no signature; they say nothing that is read here.
    assert checked.stamp in {StampState.BROKEN, StampState.UNTRUSTED} or (
        checked.stamped_at == only(read(signed_ct), trust).stamped_at
    )


@given(at=st.integers(min_value=0), value=st.integers(0, 255))
def test_damaged_signatures_are_never_an_error(
    signed_ct: bytes, trust: CertificateTrust, at: int, value: int
) -> None:
    file = read(signed_ct)
    start = len(signed_ct) - len(file.body) + file.index[0xFFFAFFFA].value
    at = start + at % (len(signed_ct) - start)
    changed = signed_ct[:at] + bytes([value]) + signed_ct[at + 1 :]
    for checked in check_standard_signatures(read(changed), trusted=trust):
        assert checked.state in SignatureState


@given(at=st.integers(min_value=0), value=st.integers(0, 255))
def test_a_damaged_certificate_is_not_believed_and_no_error(
    sealed_ct: bytes, signer: CertifiedSigner, trust: CertificateTrust, at: int, value: int
) -> None:
    at %= len(signer.der)
    assume(signer.der[at] != value)
    (checked,) = _with_certificate(sealed_ct, signer, trust, at, value)
    assert checked.trusted is False


def test_a_certificate_of_a_version_that_does_not_exist_is_not_checked(
    sealed_ct: bytes, signer: CertifiedSigner, trust: CertificateTrust
) -> None:
    # TBSCertificate begins with [0] { INTEGER 2 } (RFC 5280 4.1).
    at = signer.der.index(bytes.fromhex("a003020102")) + 4
    (checked,) = _with_certificate(sealed_ct, signer, trust, at, 127)
    assert (checked.state, checked.trusted, checked.signer) == (SignatureState.UNCHECKED, False, "")


def _with_certificate(
    sealed: bytes, signer: CertifiedSigner, trust: CertificateTrust, at: int, value: int
) -> list[StandardSignature]:
    """What is said of a signature with one byte of its certificate changed. The MAC does not cover it."""
    signed, _ = sign(sealed, signer, now=NOW)
    start = signed.index(signer.der) + at
    changed = signed[:start] + bytes([value]) + signed[start + 1 :]
    return check_standard_signatures(read(changed), trusted=trust)


# -- What is not signed, and what is taken away.


def test_an_object_that_is_not_sealed_is_not_signed(signer: CertifiedSigner) -> None:
    data = objects.ct(rows=16, columns=16)
    signed, result = sign(data, signer, now=NOW)
    assert signed is data
    assert (result.reason, result.made) == ("not-sealed", False)


def test_an_object_with_signatures_is_not_signed_again(signed_ct: bytes, signer: CertifiedSigner) -> None:
    again, result = sign(signed_ct, signer, now=NOW)
    assert again is signed_ct
    assert result.reason == "has-signatures"


def test_nothing_is_signed_with_an_expired_certificate(sealed_ct: bytes, signer: CertifiedSigner) -> None:
    late = signer.certificate.not_valid_after_utc + timedelta(seconds=1)
    signed, result = sign(sealed_ct, signer, now=late)
    assert signed is sealed_ct
    assert result.reason == "certificate-expired"


@pytest.mark.parametrize("build", [objects.ct, objects.fundus, objects.multi_frame, objects.report])
def test_what_was_added_comes_off_again_without_a_trace(
    desk: Desk, signer: CertifiedSigner, build: Callable[..., bytes]
) -> None:
    sealed, _ = desk.seal(build())
    signed, _ = sign(sealed, signer, now=NOW)
    file = read(signed)
    assert file.edited(removal(file)) == sealed
    assert removal(read(sealed)) == {}


@pytest.mark.parametrize("build", [objects.ct, objects.fundus, objects.multi_frame, objects.report])
def test_a_signed_object_is_intact_and_its_original_comes_back_without_signatures(
    desk: Desk, signer: CertifiedSigner, build: Callable[..., bytes]
) -> None:
    original = build()
    signed, _ = sign(desk.seal(original)[0], signer, now=NOW)
    assert desk.verify(signed).verdict == "intact"
    assert desk.restore(signed)[0] == original


def test_no_signature_stays_in_the_original_of_a_transcoded_object(
    desk: Desk, signed_ct: bytes, written: Writer
) -> None:
    path = written(signed_ct)
    transcode(path, path.with_suffix(".jls"), "jpeg-ls")
    transcoded = path.with_suffix(".jls").read_bytes()
    assert only(read(transcoded)).state is SignatureState.BROKEN
    assert desk.verify(transcoded).verdict == "transcoded"
    original, _ = desk.restore(transcoded)
    assert original is not None
    assert check_standard_signatures(read(original)) == []
    assert not {0x4FFE0001, 0xFFFAFFFA} & set(read(original).index)


def test_a_long_file_is_signed_as_one_in_memory(sealed_ct: bytes, signer: CertifiedSigner) -> None:
    class LongFile:
        """Bytes that are no `bytes`, as those of a long file."""

        def __init__(self, data: bytes) -> None:
            self._data = data

        def __len__(self) -> int:
            return len(self._data)

        def __getitem__(self, where: slice, /) -> bytes:
            return self._data[where]

    in_memory, _ = sign(sealed_ct, signer, now=NOW)
    elsewhere, _ = sign(LongFile(sealed_ct), signer, now=NOW)
    assert not isinstance(elsewhere, bytes)
    assert elsewhere[:] == in_memory


def test_more_signatures_than_are_checked_are_told(signed_ct: bytes) -> None:
    file = read(signed_ct)
    element = file.index[0xFFFAFFFA]
    item = file.body[element.value : element.end]
    many = item * (SIGNATURES_MAX + 2)
    head = file.body[element.start : element.start + 8] + len(many).to_bytes(4, "little")
    checked = check_standard_signatures(read(file.edited({0xFFFAFFFA: head + many})))
    assert [signature.state for signature in checked] == [
        *[SignatureState.VALID] * SIGNATURES_MAX,
        *[SignatureState.UNCHECKED] * 2,
    ]


@pytest.mark.parametrize("algorithm", ["MD5", "SHA1", "RIPEMD160"])
def test_a_weak_mac_is_not_counted_as_a_signature(
    sealed_ct: bytes, authority: SigningAuthority, written: Writer, algorithm: str
) -> None:
    option = {"MD5": "+mm", "SHA1": "+ms", "RIPEMD160": "+mr"}[algorithm]
    pair = authority.signer("weak")
    plain = written(sealed_ct)
    signed = plain.with_suffix(".weak")
    arguments = ["+s", str(pair.key), str(pair.certificate), option, str(plain), str(signed)]
    assert run("dcmsign", arguments).returncode == 0
    assert only(read(signed.read_bytes())).state is SignatureState.UNCHECKED


@pytest.mark.parametrize("kind", ["rsa-1024"])
def test_a_short_key_is_not_counted(
    sealed_ct: bytes, authority: SigningAuthority, written: Writer, kind: Kind
) -> None:
    pair = authority.signer("short", kind)
    plain = written(sealed_ct)
    signed = plain.with_suffix(".short")
    arguments = ["+s", str(pair.key), str(pair.certificate), "+m2", str(plain), str(signed)]
    assert run("dcmsign", arguments).returncode == 0
    assert only(read(signed.read_bytes())).state is SignatureState.UNCHECKED


def test_the_private_block_names_what_the_signature_looks_for() -> None:
    assert (private_block.DIGEST, private_block.STATEMENT) == (0x03, 0x10)
