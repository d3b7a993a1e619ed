"""A second gateway: an object that carries a seal is kept, sealed anew from its original, or refused."""

from __future__ import annotations

from functools import partial

import pytest

from gateway.dicom.elements import EXPLICIT_LE, encode
from gateway.dicom.part10 import read
from gateway.errors import AlreadySealed
from gateway.seal import (
    SealOptions,
    SealResult,
    resealing,
    seal,
)
from gateway.seal.block import private_block
from gateway.seal.context import KeptAsIs
from gateway.seal.documenting import CONTRIBUTING_EQUIPMENT, DERIVATION_DESCRIPTION
from gateway.seal.verifying import reopen
from tests.support import objects
from tests.support.desk import NOW, Desk


def sealed_again(
    desk: Desk, data: bytes, *, by: Desk | None = None, **options: str
) -> tuple[bytes, SealResult]:
    """The result of a second gateway for a sealed object.

    by: whose keys the second gateway has to open records with.
    """
    way_back = by and partial(reopen, trusted=by.trusted, recipient_key=by.recipient_key, codec=by.codec)
    return seal(
        data,
        recipient=desk.recipient,
        signer=desk.signer,
        codec=desk.codec,
        options=SealOptions(**options),  # type: ignore[arg-type]
        now=NOW,
        reopen=way_back,
    )


def stripped(data: bytes, *more: int) -> bytes:
    file = read(data)
    return file.edited(private_block.removal(file) | dict.fromkeys(more))


@pytest.fixture(scope="module")
def sealed(desk: Desk) -> bytes:
    return desk.seal(objects.ct(rows=128, columns=128))[0]


def test_a_sealed_object_is_kept_as_it_is_unless_asked_otherwise(desk: Desk, sealed: bytes) -> None:
    again, result = sealed_again(desk, sealed)
    assert (again, result.level, result.reason) == (sealed, "pass", "already-sealed")


def test_refusing_raises_for_a_sealed_object_and_for_one_without_its_block(desk: Desk, sealed: bytes) -> None:
    for data in (sealed, stripped(sealed)):
        with pytest.raises(AlreadySealed):
            sealed_again(desk, data, sealed="refuse")


def test_resealing_starts_from_the_original(desk: Desk, other_desk: Desk, sealed: bytes) -> None:
    again, result = sealed_again(other_desk, sealed, by=desk, sealed="reseal")
    assert (result.level, result.reason, result.resealed) == ("full", "sealed", True)
    assert other_desk.verify(again).verdict == "intact"
    assert other_desk.restore(again)[0] == objects.ct(rows=128, columns=128)
    assert not desk.extract(again).found


def test_resealing_an_attested_object_replaces_its_block(desk: Desk, other_desk: Desk) -> None:
    data = objects.report()
    again, result = sealed_again(other_desk, desk.seal(data)[0], by=desk, sealed="reseal")
    assert (result.level, result.resealed) == ("digest", True)
    assert other_desk.restore(again)[0] == data


def test_without_the_recipients_key_the_seal_is_kept(other_desk: Desk, sealed: bytes) -> None:
    again, result = sealed_again(other_desk, sealed, sealed="reseal")
    assert (again, result.level, result.reason) == (sealed, "pass", "reseal-without-key")


def test_what_does_not_verify_is_not_sealed_anew(desk: Desk, other_desk: Desk, sealed: bytes) -> None:
    swapped = read(sealed).edited({0x00100020: encode(0x00100020, b"LO", b"OTHER", EXPLICIT_LE)})
    for data, by in ((swapped, desk), (sealed, other_desk)):
        again, result = sealed_again(other_desk, data, by=by, sealed="reseal")
        assert (again, result.reason) == (data, "reseal-unverified")


def test_a_record_is_not_given_up_for_a_seal_without_one(desk: Desk, sealed: bytes) -> None:
    attested, attestation = desk.seal(objects.report())
    with pytest.raises(KeptAsIs, match="reseal-weaker"):
        resealing.check_as_good(read(sealed), attestation)
    resealing.check_as_good(read(attested), attestation)


@pytest.mark.parametrize("policy", ["keep", "reseal"])
def test_a_record_whose_block_was_stripped_is_not_written_over(
    desk: Desk, sealed: bytes, policy: str
) -> None:
    bare = stripped(sealed)
    again, result = sealed_again(desk, bare, by=desk, sealed=policy)
    assert (again, result.level, result.reason) == (bare, "pass", "payload-present")
    assert desk.extract(again).found


def test_looking_by_traces_finds_what_the_header_tells_of(desk: Desk, sealed: bytes) -> None:
    traced = sealed_again(desk, stripped(sealed, DERIVATION_DESCRIPTION), look="traces")[1]
    assert traced.reason == "payload-present"
    silent = stripped(sealed, DERIVATION_DESCRIPTION, CONTRIBUTING_EQUIPMENT)
    assert sealed_again(desk, silent, look="traces")[1].reason == "sealed"
    assert sealed_again(desk, silent, look="always")[1].reason == "payload-present"
    assert "look" not in sealed_again(desk, objects.ct(rows=64, columns=64), look="traces")[1].steps_ms


def test_an_image_that_was_never_sealed_is_not_taken_for_one(desk: Desk) -> None:
    for build in (objects.ct, objects.mr, objects.fundus, objects.multi_frame):
        assert sealed_again(desk, build(), sealed="refuse")[1].reason == "sealed"
