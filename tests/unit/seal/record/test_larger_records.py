"""Records beyond the default fields: hidden where there is room, located where there is none, cut only with a flag."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gateway.seal import DEFAULT_FIELDS
from tests.support import objects
from tests.support.desk import Desk

# Three notes as departments write them. Capital letters in one and umlauts in another need other alphabets.
NOTES = {
    "ImageComments": "Motion in the last third; repeated once. " * 6,
    "AdditionalPatientHistory": "Status nach Hüftgelenksersatz beidseits, Schrauben L4/L5. " * 4,
    "PatientComments": "CONTRAST GIVEN 10:15 BY HAND, NO REACTION. " * 5,
}
FIELDS = (*DEFAULT_FIELDS, "StudyDescription", *NOTES)


def values(length: int) -> dict[str, Any]:
    return {"StudyDescription": "MRI knee left"} | {
        name: note[:length].strip() for name, note in NOTES.items()
    }


@pytest.mark.parametrize("build", [objects.ct, objects.mr, objects.fundus])
@pytest.mark.parametrize("length", [60, 120, 240])
def test_notes_travel_in_the_pixels_of_an_image_with_room(
    desk: Desk, build: Callable[..., bytes], length: int
) -> None:
    data = build(rows=256, columns=256, **values(length))
    sealed, result = desk.seal(data, fields=FIELDS)
    assert (result.level, result.mode, result.fallback, result.shortened) == ("full", "envelope", None, ())
    assert result.payload_bits is not None
    assert result.payload_bits // 8 > {60: 300, 120: 480, 240: 800}[length]
    assert values(length).items() <= desk.record(sealed).items()
    assert desk.verify(sealed).verdict == "intact"
    assert desk.restore(sealed)[0] == data


def test_the_largest_payload_is_hidden_where_there_is_room(desk: Desk) -> None:
    """Any byte at 8 bits: a payload of more than 900 of the 1000 bytes that the codec takes."""
    notes: dict[str, Any] = dict.fromkeys(NOTES, "§" * 127)
    sealed, result = desk.seal(objects.ct(rows=320, columns=320, **notes), fields=FIELDS)
    assert (result.level, result.mode) == ("full", "envelope")
    assert result.payload_bits is not None
    assert 900 < result.payload_bits // 8 <= 1000
    assert notes.items() <= desk.record(sealed).items()


def test_a_record_beyond_the_largest_payload_is_located_and_says_why(desk: Desk) -> None:
    notes: dict[str, Any] = dict.fromkeys((*NOTES, "DerivationDescription"), "§" * 127)
    sealed, result = desk.seal(objects.ct(**notes), fields=(*FIELDS, "DerivationDescription"))
    assert (result.level, result.mode, result.fallback) == ("full", "locator", "payload-too-large")
    assert notes["ImageComments"] == desk.record(sealed)["ImageComments"]


def test_in_a_small_image_a_larger_record_is_located_and_says_why(desk: Desk) -> None:
    sealed, result = desk.seal(objects.ct(rows=96, columns=96, **values(200)), fields=FIELDS)
    assert (result.level, result.mode, result.fallback) == ("full", "locator", "too-small")
    assert values(200).items() <= desk.record(sealed).items()


def test_a_value_is_shortened_only_with_a_flag(desk: Desk) -> None:
    sealed, result = desk.seal(objects.ct(ImageComments="note " * 80), fields=FIELDS)
    assert (result.level, result.shortened) == ("full", ("ImageComments",))
    report = desk.verify(sealed)
    assert (report.verdict, report.shortened) == ("intact", ("ImageComments",))
