"""CODEC.md is enough: a reader written from it (tests/second_reader/payload.py) finds what the codec hides."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gateway.dicom.image import pixel_format
from gateway.dicom.part10 import read
from gateway.dicom.pixels import decode
from gateway.seal.codec import Codec, Frames, Profile
from gateway.seal.codec.networks import shipped
from gateway.seal.codec.onnx import onnxruntime
from tests.second_reader import payload
from tests.support import objects

HIDDEN = bytes(range(90))


@cache
def network(profile: Profile) -> payload.Network:
    card = json.loads((shipped() / f"{profile}-v2.json").read_text())["reveal"]
    model = (shipped() / card["file"]).read_bytes()
    assert hashlib.sha256(model).hexdigest() == card["sha256"]
    session = onnxruntime.InferenceSession(model)

    def reveal(cells: payload.Floats) -> payload.Floats:
        logits: payload.Floats = session.run(None, {"cells": cells, "unit": np.ones(1, np.float32)})[0]
        return logits

    return reveal


def samples(data: bytes) -> NDArray[Any]:
    file = read(data)
    return decode(file, pixel_format(file)).samples


IMAGES = {
    "ct": samples(objects.ct(rows=128, columns=112)),
    "large": samples(objects.mr(rows=272, columns=272)),
    "rgb": samples(objects.fundus(rows=136, columns=128)),
    "multi": samples(objects.multi_frame(frames=3, rows=72, columns=64)),
}


@pytest.mark.parametrize("profile", [Profile.FIDELITY, Profile.ROBUST])
@pytest.mark.parametrize("name", sorted(IMAGES))
def test_what_is_hidden_is_read_as_the_document_says(codec: Codec, name: str, profile: Profile) -> None:
    hidden = codec.hide(IMAGES[name], HIDDEN, profile=profile, frames=Frames.FIRST)
    robust = profile is Profile.ROBUST
    assert payload.reveal(hidden.container, network(profile), robust=robust) == HIDDEN


@pytest.mark.parametrize("name", ["ct", "rgb"])
def test_in_an_image_that_holds_nothing_nothing_is_read(name: str) -> None:
    for profile in (Profile.FIDELITY, Profile.ROBUST):
        robust = profile is Profile.ROBUST
        assert payload.reveal(IMAGES[name], network(profile), robust=robust) is None
