"""An examined object is handed on: verifying and then restoring finds out nothing twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from gateway.seal import examination
from gateway.seal.codec import Codec, Revealed
from gateway.seal.verifying import Examination, reopen, restore_examined, verify_examined
from tests.support import objects
from tests.support.desk import Desk
from tests.unit.dicom.test_lazy_bytes import Away, kept, whole


class CountingCodec(Codec):
    """A real codec that counts how often it reveals."""

    def __init__(self, codec: Codec) -> None:
        vars(self).update(vars(codec))
        self.reveals = 0

    def reveal(self, *arguments: Any, **options: Any) -> Revealed | None:
        self.reveals += 1
        return super().reveal(*arguments, **options)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Counts how often an examination parses and decodes. Both are still done."""
    counts: Counter[str] = Counter()

    def counted(name: str) -> Callable[..., Any]:
        real = getattr(examination, name)

        def call(*arguments: Any) -> Any:
            counts[name] += 1
            return real(*arguments)

        return call

    for name in ("read", "decode", "decode_in_pieces"):
        monkeypatch.setattr(examination, name, counted(name))
    return counts


def test_verifying_and_then_restoring_parses_decodes_and_reveals_once(
    desk: Desk, calls: Counter[str]
) -> None:
    data = objects.ct(rows=128, columns=128)
    codec = CountingCodec(desk.codec)
    examined = Examination(desk.seal(data)[0], codec)
    assert verify_examined(examined, trusted=desk.trusted, recipient_key=desk.recipient_key).ok
    assert restore_examined(examined, recipient_key=desk.recipient_key)[0] == data
    assert calls == {"read": 1, "decode": 1}
    assert codec.reveals == 1


def test_reopening_parses_decodes_and_reveals_once(desk: Desk, calls: Counter[str]) -> None:
    data = objects.ct(rows=128, columns=128)
    codec = CountingCodec(desk.codec)
    original, _ = reopen(
        desk.seal(data)[0], trusted=desk.trusted, recipient_key=desk.recipient_key, codec=codec
    )
    assert original == data
    assert calls == {"read": 1, "decode": 1}
    assert codec.reveals == 1


def test_an_object_that_is_away_is_decoded_once_for_its_digest(desk: Desk, calls: Counter[str]) -> None:
    data = kept(objects.multi_frame)
    examined = Examination(Away(desk.seal(data)[0]), desk.codec)
    assert verify_examined(examined, trusted=desk.trusted, recipient_key=desk.recipient_key).ok
    original, _ = restore_examined(examined, recipient_key=desk.recipient_key)
    assert original is not None
    assert whole(original) == data
    assert calls == {"read": 1, "decode_in_pieces": 1}
