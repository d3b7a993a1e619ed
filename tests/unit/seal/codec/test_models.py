"""The shipped networks and their cards."""

import hashlib
import json
import stat
from importlib.resources import files
from pathlib import Path
from typing import Any

import onnx
import pytest

from export.sign import sign
from gateway.seal.codec import Codec, networks
from gateway.seal.codec.networks import ModelFileError

MODELS = files("onnx_models")
CARDS = sorted(entry.name for entry in MODELS.iterdir() if entry.name.endswith(".json"))
NETWORKS = sorted(entry.name for entry in MODELS.iterdir() if entry.name.endswith(".onnx"))


@pytest.mark.parametrize("name", CARDS)
def test_a_card_names_its_training_data_and_what_was_measured(name: str) -> None:
    card = json.loads((MODELS / name).read_text())
    assert card["training"]["images"] > 100
    assert all(entry["source"] and entry["licence"] for entry in card["training"]["attribution"])
    assert card["measured"]["parity_pixels_unlike"] <= 1e-3
    assert card["measured"]["parity_logits_max_difference"] <= 1e-2
    assert card["measured"]["evaluation"]


@pytest.mark.parametrize("name", NETWORKS)
def test_the_networks_are_valid_onnx(name: str) -> None:
    onnx.checker.check_model(onnx.load_from_string((MODELS / name).read_bytes()), full_check=True)


def test_every_network_is_loaded_by_the_codec(monkeypatch: pytest.MonkeyPatch) -> None:
    """Version 1 is only read, so that its hiding networks are shipped only where version 2 hides with them too."""
    loaded = set()
    construct = networks.Network.__init__

    def recorded(network: networks.Network, folder: Path, entry: Any, **options: Any) -> None:
        loaded.add(entry["file"])
        construct(network, folder, entry, **options)

    monkeypatch.setattr(networks.Network, "__init__", recorded)
    Codec.load()
    assert loaded == set(NETWORKS)


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    for entry in MODELS.iterdir():
        if entry.name.endswith((".json", ".onnx", ".sig")):
            (tmp_path / entry.name).write_bytes(entry.read_bytes())
    return tmp_path


@pytest.mark.parametrize("part", ["hide", "reveal"])
def test_a_changed_network_is_not_loaded(copied: Path, part: str) -> None:
    changed = copied / f"fidelity-v1-{part}.onnx"
    changed.write_bytes(changed.read_bytes()[:-1] + b"?")
    with pytest.raises(ModelFileError, match="differs from its card"):
        Codec.load(copied)


def test_a_changed_network_with_its_hash_in_the_card_is_not_loaded_either(copied: Path) -> None:
    changed, card = copied / "robust-v2-reveal.onnx", copied / "robust-v2.json"
    old = hashlib.sha256(changed.read_bytes()).hexdigest()
    changed.write_bytes(changed.read_bytes()[:-1] + b"?")
    card.write_text(card.read_text().replace(old, hashlib.sha256(changed.read_bytes()).hexdigest()))
    with pytest.raises(ModelFileError, match="robust-v2: its card is not signed with the release key"):
        Codec.load(copied)


@pytest.mark.parametrize("name", CARDS)
def test_a_card_without_signature_or_with_that_of_another_is_not_loaded(copied: Path, name: str) -> None:
    signature = copied / f"{name}.sig"
    signature.write_bytes((copied / f"{next(card for card in CARDS if card != name)}.sig").read_bytes())
    with pytest.raises(ModelFileError, match="not signed"):
        Codec.load(copied)
    signature.unlink()
    with pytest.raises(ModelFileError):
        Codec.load(copied)


@pytest.mark.parametrize(
    ("shown", "asked"),
    [
        ("robust-v2", "fidelity-v2"),
        ("fidelity-v2", "robust-v2"),
        ("fidelity-v1", "fidelity-v2"),
        ("robust-v1", "robust-v2"),
    ],
)
def test_a_signed_card_is_not_loaded_under_the_name_of_another(copied: Path, shown: str, asked: str) -> None:
    """Neither another profile, which would seal differently, nor the older version, which would seal worse."""
    for suffix in (".json", ".json.sig"):
        (copied / f"{asked}{suffix}").write_bytes((copied / f"{shown}{suffix}").read_bytes())
    with pytest.raises(ModelFileError, match=f"model {asked}: the card is that of '{shown}'"):
        Codec.load(copied)


@pytest.mark.parametrize("name", ["fidelity-v2.json", "fidelity-v2.json.sig", "robust-v2-hide.onnx"])
def test_a_model_that_is_a_link_is_not_loaded(copied: Path, tmp_path: Path, name: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    (copied / name).rename(elsewhere)
    (copied / name).symlink_to(elsewhere)
    with pytest.raises(ModelFileError, match=f"{name} is a link"):
        Codec.load(copied)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("codec_id", None),
        ("profile", "robust"),
        ("hide", {"file": "../robust-v2-hide.onnx", "sha256": ""}),
        ("hide", "x"),
    ],
)
def test_a_signed_card_that_says_nonsense_is_refused(copied: Path, key: str, value: object) -> None:
    card = copied / "fidelity-v2.json"
    card.write_text(json.dumps(json.loads(card.read_text()) | {key: value}))
    sign(copied, copied / "own.key", copied / "own.pub")
    with pytest.raises(ModelFileError):
        Codec.load(copied, release=copied / "own.pub")


def test_networks_of_ones_own_are_loaded_with_the_key_that_signed_them(copied: Path, tmp_path: Path) -> None:
    public = tmp_path / "own.pub"
    sign(copied, tmp_path / "own.key", public)
    with pytest.raises(ModelFileError, match="not signed"):
        Codec.load(copied)
    assert Codec.load(copied, release=public)
    assert stat.S_IMODE((tmp_path / "own.key").stat().st_mode) == 0o600


def test_a_missing_network_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError) as failure:
        Codec.load(tmp_path)
    assert "Install" in failure.value.hint
