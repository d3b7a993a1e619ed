"""Objects find their route: the first one whose conditions hold."""

from __future__ import annotations

import pytest

from gateway.config import Config
from gateway.dicom.file_meta import unwrap
from gateway.dicom.glance import glance
from gateway.errors import HeaderTooLarge
from gateway.receive.routing import choose, tags_asked_for
from tests.support.objects import ct, mr


def routed() -> Config:
    route = {"called": "IN", "action": "pass", "to": ["pacs"]}
    return Config.model_validate(
        {
            "destination": [{"name": "pacs", "ae_title": "P", "host": "h", "port": 104}],
            "route": [
                route | {"modality": "MR"},
                route | {"where": {"PatientID": "VIP-*"}, "on_failure": "mark"},
                route | {"calling": "CT*"},
            ],
        }
    )


def chosen(config: Config, file: bytes, calling: str = "CT1", called: str = "IN") -> int | None:
    head = unwrap(file)
    tags = tags_asked_for(config, called, calling) or {0}
    seen = glance(file[head.offset :], head.syntax, tags)
    route = choose(config, called, calling, head.sop_class, seen.text)
    return None if route is None else config.route.index(route)


def test_the_first_route_whose_conditions_hold_is_taken() -> None:
    config = routed()
    assert chosen(config, mr(rows=16, columns=16)) == 0
    assert chosen(config, ct(rows=16, columns=16, PatientID="VIP-1")) == 1
    assert chosen(config, ct(rows=16, columns=16)) == 2
    assert chosen(config, ct(rows=16, columns=16), calling="US1") is None
    assert chosen(config, ct(rows=16, columns=16), called="OUT") is None


def test_what_cannot_be_parsed_goes_where_no_condition_asks() -> None:
    file = ct(rows=16, columns=16)
    damaged = file[: unwrap(file).offset] + b"garbage" * 20
    assert chosen(routed(), damaged) == 2


def test_no_route_is_guessed_for_an_object_whose_elements_are_too_far_away() -> None:
    def text_of(_tag: int) -> str:
        raise HeaderTooLarge("too far")

    config = routed()
    with pytest.raises(HeaderTooLarge):
        choose(config, "IN", "CT1", "1.2.3", text_of)
    unconditional = config.model_copy(update={"route": config.route[::-1]})
    assert choose(unconditional, "IN", "CT1", "1.2.3", text_of) == unconditional.route[0]


def test_only_the_elements_of_routes_that_may_take_it_are_asked_for() -> None:
    assert tags_asked_for(routed(), "IN", "CT1") == {0x00080060, 0x00100020}
    assert tags_asked_for(routed(), "OUT", "CT1") == set()
