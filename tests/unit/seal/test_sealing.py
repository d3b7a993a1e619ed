"""Sealing: the level an object gets, what is changed in it, and that all of it can be undone."""

from __future__ import annotations

import io
import math
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.uid import generate_uid

from gateway.dicom.elements import EXPLICIT_LE, encode
from gateway.dicom.image import pixel_format
from gateway.dicom.part10 import (
    read,
)
from gateway.dicom.pixels import decode, transcode
from gateway.dicom.syntaxes import DEFLATED_LE, EXPLICIT_VR_BE, EXPLICIT_VR_LE, IMPLICIT_VR_LE, TABLE, Form
from gateway.errors import ConfigurationError, UnreadableObject
from gateway.seal.block import private_block
from tests.support import objects
from tests.support.data import shipped
from tests.support.desk import Desk

LOSSLESS = sorted(
    row.uid for row in TABLE.values() if row.lossless and row.encoder and row.form is not Form.DEFLATED
)
BUILDERS = [objects.ct, objects.mr, objects.signed_ct, objects.fundus, objects.multi_frame]


def samples(data: bytes) -> np.ndarray:
    file = read(data)
    return decode(file, pixel_format(file)).samples


def shown(data: bytes) -> pydicom.FileDataset:
    return pydicom.dcmread(io.BytesIO(data))


@pytest.mark.parametrize("build", BUILDERS)
@pytest.mark.parametrize("identity", ["keep", "derive"])
def test_a_native_object_comes_back_byte_for_byte(
    desk: Desk, build: Callable[..., bytes], identity: str
) -> None:
    data = build()
    sealed, result = desk.seal(data, identity=identity)
    assert (result.level, result.reason) == ("full", "sealed")
    restored, restoration = desk.restore(sealed)
    assert restoration.reason == "proven"
    assert restored == data


@pytest.mark.parametrize("syntax", LOSSLESS)
def test_an_object_is_sealed_in_its_own_lossless_syntax(desk: Desk, syntax: str) -> None:
    data = transcode(objects.ct(rows=128, columns=128), syntax)
    sealed, result = desk.seal(data)
    assert result.level == "full"
    assert read(sealed).transfer_syntax == syntax
    restored, _ = desk.restore(sealed)
    assert restored is not None
    assert np.array_equal(samples(restored), samples(data))


def test_a_syntax_without_encoder_becomes_one_the_destination_accepts(desk: Desk) -> None:
    data = transcode(objects.ct(rows=128, columns=128), "1.2.840.10008.1.2.4.201")
    rpcl = read(data).edited({}, syntax="1.2.840.10008.1.2.4.202")
    assert read(desk.seal(rpcl)[0]).transfer_syntax == EXPLICIT_VR_LE
    jpeg_ls = "1.2.840.10008.1.2.4.80"
    assert read(desk.seal(rpcl, accept_syntaxes=(jpeg_ls,))[0]).transfer_syntax == jpeg_ls
    assert desk.seal(rpcl, accept_syntaxes=())[1].reason == "no-encoder"


def test_a_deflated_object_stays_deflated(desk: Desk) -> None:
    file = read(objects.ct(rows=128, columns=128))
    engine = zlib.compressobj(6, zlib.DEFLATED, -15)
    prefix = file.with_body(file.body, DEFLATED_LE, EXPLICIT_LE).prefix
    sealed, result = desk.seal(prefix + engine.compress(file.body[:]) + engine.flush())
    assert result.level == "full"
    assert read(sealed).transfer_syntax == DEFLATED_LE
    restored, _ = desk.restore(sealed)
    assert restored is not None
    assert read(restored).body == file.body


def test_only_documented_elements_change(desk: Desk) -> None:
    data = objects.ct()
    before, after = shown(data), shown(desk.seal(data)[0])
    changed = {e.tag for e in after if e.tag not in before or before[e.tag] != e}
    standard = {0x00082111, 0x0018A001, 0x7FE00010}
    assert {int(tag) for tag in changed if not tag.is_private} == standard
    assert {tag.group for tag in changed if tag.is_private} == {0x0071}


def test_contributing_equipment_names_the_gateway(desk: Desk) -> None:
    item = shown(desk.seal(objects.ct())[0]).ContributingEquipmentSequence[-1]
    assert item.Manufacturer == "Sealgate"
    assert item.PurposeOfReferenceCodeSequence[0].CodeValue == "109103"
    assert item.ContributionDateTime == "20250301120000.000000+0000"


def test_what_others_wrote_about_derivation_and_equipment_stays(desk: Desk) -> None:
    other = pydicom.Dataset()
    other.Manufacturer = "Another"
    data = objects.ct(DerivationDescription="windowed", ContributingEquipmentSequence=[other])
    sealed, _ = desk.seal(data)
    assert shown(sealed).DerivationDescription.startswith("windowed; Sealgate")
    assert [item.Manufacturer for item in shown(sealed).ContributingEquipmentSequence] == [
        "Another",
        "Sealgate",
    ]
    assert desk.restore(sealed)[0] == data


def test_a_full_derivation_description_is_left_alone(desk: Desk) -> None:
    data = objects.ct(DerivationDescription="d" * 1020)
    sealed, _ = desk.seal(data)
    assert shown(sealed).DerivationDescription == "d" * 1020
    assert desk.restore(sealed)[0] == data


def test_a_derived_object_points_to_its_source(desk: Desk) -> None:
    data = objects.ct()
    sealed, result = desk.seal(data, identity="derive")
    before, after = shown(data), shown(sealed)
    assert result.sop_instance_uid == after.SOPInstanceUID == after.file_meta.MediaStorageSOPInstanceUID
    assert after.SOPInstanceUID.startswith("2.25.")
    assert after.SourceImageSequence[0].ReferencedSOPInstanceUID == before.SOPInstanceUID
    assert after.ImageType[0] == "DERIVED"
    assert desk.verify(sealed).verdict == "intact"
    assert desk.record(sealed)["SOPInstanceUID"] == after.SOPInstanceUID


def test_padding_and_the_range_of_the_image_are_respected(desk: Desk) -> None:
    data = objects.signed_ct()
    before, after = samples(data), samples(desk.seal(data)[0])
    assert np.array_equal(before == -2000, after == -2000)
    assert before.min() <= after.min()
    assert after.max() <= before.max()


def test_the_result_measures_the_change_that_was_made(desk: Desk) -> None:
    data = objects.mr()
    sealed, result = desk.seal(data)
    before, after = samples(data).astype(float), samples(sealed).astype(float)
    error = np.mean((before - after) ** 2)
    assert result.max_change == np.abs(before - after).max()
    assert result.psnr_range_db == pytest.approx(10 * math.log10(np.ptp(before) ** 2 / error), abs=0.01)
    assert result.payload_bits is not None
    assert result.payload_bits % 8 == 0
    assert set(result.steps_ms) >= {"parse", "decode", "hide", "restoring", "attest", "encode", "prove"}


@pytest.mark.parametrize("syntax", [IMPLICIT_VR_LE, EXPLICIT_VR_LE, EXPLICIT_VR_BE])
def test_level_digest_only_adds_the_block(desk: Desk, syntax: str) -> None:
    data = transcode(objects.report(), syntax)
    sealed, result = desk.seal(data)
    assert (result.level, result.reason) == ("digest", "non-image")
    file = read(sealed)
    assert file.edited(private_block.removal(file)) == data
    assert desk.restore(sealed)[0] == data


@pytest.mark.parametrize(
    ("elements", "reason"),
    [
        ({"Modality": "PT"}, "quantitative"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.128"}, "quantitative"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.481.2"}, "radiotherapy"),
        ({"SOPClassUID": "1.2.3.4"}, "unlisted-class"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "palette"),
        ({"PhotometricInterpretation": "UNHEARD OF"}, "unknown-photometric"),
        ({"BitsStored": 0}, "pixels-undefined"),
    ],
)
def test_what_may_not_carry_a_record_gets_a_digest_and_a_reason(
    desk: Desk, elements: dict[str, Any], reason: str
) -> None:
    data = objects.ct(rows=64, columns=64, **elements)
    sealed, result = desk.seal(data)
    assert (result.level, result.reason) == ("digest", reason)
    assert desk.verify(sealed).verdict == "intact"
    assert desk.restore(sealed)[0] == data


def test_an_image_smaller_than_any_payload_gets_a_digest(desk: Desk) -> None:
    _, result = desk.seal(objects.ct(rows=24, columns=24))
    assert (result.level, result.reason) == ("digest", "too-small")


def test_where_the_envelope_does_not_fit_a_locator_is_hidden(desk: Desk) -> None:
    fields = ("PatientID", "PatientComments")
    data = objects.ct(rows=112, columns=112, PatientComments="§" * 110)
    sealed, result = desk.seal(data, fields=fields)
    assert (result.level, result.mode) == ("full", "locator")
    assert desk.record(sealed)["PatientComments"] == "§" * 110
    assert desk.verify(sealed).verdict == "intact"
    assert desk.restore(sealed)[0] == data


def test_bits_above_bits_stored_that_mean_something_are_not_lost(desk: Desk) -> None:
    file = read(objects.ct(rows=64, columns=64))
    pixels = bytearray(file.value(0x7FE00010) or b"")
    pixels[1] |= 0x80
    data = file.edited({0x7FE00010: encode(0x7FE00010, b"OW", bytes(pixels), EXPLICIT_LE)})
    sealed, result = desk.seal(data)
    assert (result.level, result.reason) == ("digest", "high-bits-in-use")
    changed = sealed.replace(bytes(pixels[:64]), bytes([pixels[0], pixels[1] & 0x7F]) + bytes(pixels[2:64]))
    assert desk.verify(changed).verdict == "tampered"


@pytest.mark.parametrize("reason", ["already-sealed", "digitally-signed", "media-directory"])
def test_what_must_not_be_touched_passes(desk: Desk, reason: str) -> None:
    data = objects.ct(rows=128, columns=128)
    if reason == "already-sealed":
        data = desk.seal(data)[0]
    elif reason == "digitally-signed":
        file = read(data)
        data = file.edited({0xFFFAFFFA: encode(0xFFFAFFFA, b"SQ", b"", EXPLICIT_LE)})
    else:
        data = objects.ct(rows=64, columns=64, SOPClassUID="1.2.840.10008.1.3.10")
    sealed, result = desk.seal(data)
    assert (result.level, result.reason) == ("pass", reason)
    assert sealed == data


def test_a_directory_of_files_is_not_touched(desk: Desk) -> None:
    data = shipped("dicomdirtests/DICOMDIR").read_bytes()
    sealed, result = desk.seal(data)
    assert (result.level, result.reason) == ("pass", "media-directory")
    assert sealed == data


def test_another_vendors_block_keeps_its_number(desk: Desk) -> None:
    dataset = shown(objects.ct())
    dataset.private_block(0x0071, "OTHER VENDOR", create=True).add_new(0x01, "LO", "theirs")
    data = objects.as_file(dataset)
    sealed, _ = desk.seal(data)
    after = shown(sealed)
    assert after[0x00711001].value == "theirs"
    assert after[0x00710011].value == "SEALGATE"
    assert desk.verify(sealed).verdict == "intact"
    assert desk.restore(sealed)[0] == data


@pytest.mark.parametrize(
    "name", ["CT_small.dcm", "MR_small.dcm", "MR_small_bigendian.dcm", "MR_small_RLE.dcm"]
)
def test_files_of_pydicom_are_sealed_and_restored(desk: Desk, name: str) -> None:
    data = shipped(name).read_bytes()
    sealed, result = desk.seal(data)
    assert result.level in {"full", "digest"}
    assert desk.verify(sealed).verdict == "intact"
    restored, _ = desk.restore(sealed)
    assert restored is not None
    assert np.array_equal(samples(restored), samples(data))


def test_bytes_that_are_no_object_are_refused(desk: Desk) -> None:
    with pytest.raises(UnreadableObject):
        desk.seal(b"no object")


def test_an_unknown_field_is_refused_before_anything_is_done(desk: Desk) -> None:
    with pytest.raises(ConfigurationError):
        desk.seal(objects.ct(rows=64, columns=64), fields=("PatientsName",))


def test_a_fixed_entropy_leaves_only_the_envelope_to_chance(desk: Desk) -> None:
    data = objects.report(SOPInstanceUID=generate_uid(entropy_srcs=["fixed"]))
    first, second = (read(desk.seal_with(data, lambda count: b"\7" * count)) for _ in range(2))
    # Statement and signature name the envelope by its hash.
    of_chance = {0x00711010, 0x00711011, 0x00711031}
    assert first.index.keys() == second.index.keys()
    assert {tag for tag in first.index if first.value(tag) != second.value(tag)} == of_chance


@pytest.mark.parametrize(
    "elements", [{"NumberOfFrames": "100000", "Columns": 60000}, {"Rows": 9999}, {"Rows": 32}]
)
def test_pixel_data_of_another_length_than_declared_is_ambiguous(
    desk: Desk, elements: dict[str, Any]
) -> None:
    data = objects.ct(rows=64, columns=64, **elements)
    sealed, result = desk.seal(data)
    assert (result.level, result.reason) == ("pass", "ambiguous")
    assert sealed == data
