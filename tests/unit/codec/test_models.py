"""The shipped networks and their cards."""

import json
from importlib.resources import files

import onnx
import pytest

from gateway.seal.codec import Codec
from gateway.seal.codec.networks import ModelFileError

MODELS = files("onnx_models")
CARDS = sorted(entry.name for entry in MODELS.iterdir() if entry.name.endswith(".json"))


@pytest.mark.parametrize("name", CARDS)
def test_a_card_names_its_training_data_and_what_was_measured(name):
    card = json.loads((MODELS / name).read_text())
    assert card["training"]["images"] > 100
    assert all(entry["source"] and entry["licence"] for entry in card["training"]["attribution"])
    assert card["measured"]["parity_pixels_unlike"] <= 1e-3
    assert card["measured"]["parity_logits_max_difference"] <= 1e-2
    assert card["measured"]["evaluation"]


@pytest.mark.parametrize("name", CARDS)
@pytest.mark.parametrize("part", ["hide", "reveal"])
def test_the_networks_are_valid_onnx(name, part):
    card = json.loads((MODELS / name).read_text())
    onnx.checker.check_model(
        onnx.load_from_string((MODELS / card[part]["file"]).read_bytes()), full_check=True
    )


@pytest.mark.parametrize("part", ["hide", "reveal"])
def test_a_changed_network_is_not_loaded(tmp_path, part):
    for entry in MODELS.iterdir():
        if entry.name.endswith((".json", ".onnx")):
            (tmp_path / entry.name).write_bytes(entry.read_bytes())
    changed = tmp_path / f"fidelity-v1-{part}.onnx"
    changed.write_bytes(changed.read_bytes()[:-1] + b"?")
    with pytest.raises(ModelFileError, match="differs from its card"):
        Codec.load(tmp_path)


def test_a_missing_network_says_what_to_do(tmp_path):
    with pytest.raises(ModelFileError) as failure:
        Codec.load(tmp_path)
    assert "Install" in failure.value.hint
