"""Objects find their route: the first one whose conditions hold."""

from __future__ import annotations

import pytest

from gateway.config import Config
from gateway.dicom.file_meta import unwrap
from gateway.errors import UnreadableObject
from gateway.receive.routing import choose, texts
from tests.support.objects import ct, mr


def routed(**listener: str) -> Config:
    route = {"called": "IN", "action": "pass", "to": ["pacs"]}
    return Config.model_validate(
        {
            "listener": listener,
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
    route = choose(config, called, calling, head.sop_class, lambda keywords: texts(file, keywords))
    return None if route is None else config.route.index(route)


def test_the_first_route_whose_conditions_hold_is_taken() -> None:
    config = routed()
    assert chosen(config, mr(rows=16, columns=16)) == 0
    assert chosen(config, ct(rows=16, columns=16, PatientID="VIP-1")) == 1
    assert chosen(config, ct(rows=16, columns=16)) == 2
    assert chosen(config, ct(rows=16, columns=16), calling="US1") is None
    assert chosen(config, ct(rows=16, columns=16), called="OUT") is None


def test_what_cannot_be_parsed_goes_where_no_condition_asks_or_is_refused_by_rule() -> None:
    file = ct(rows=16, columns=16)
    damaged = file[: unwrap(file).offset] + b"garbage" * 20
    assert chosen(routed(), damaged) == 2
    with pytest.raises(UnreadableObject):
        chosen(routed(unreadable="refuse"), damaged)
