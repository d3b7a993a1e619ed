"""Export trained networks:  python -m export.to_onnx --profile fidelity [--train .work/train] [--data FOLDER]

Writes onnx_models/PROFILE-vN-hide.onnx and -reveal.onnx with one JSON card for both, after a parity check of PyTorch
against ONNX Runtime on real cells. A released name is never written again: format versions live for ever.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import nn

from export.data import COLLECTION, data_hash, load_training, training_items
from export.model import BITS, PIXELS, build

OPSET = 17
LAYOUT = {  # what the networks need to be told; see gateway/seal/codec/CODEC.md
    "fidelity": {
        "plane": "green",
        "groups": [list(range(BITS))],
        "units": [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0],
        "unit_rule": "absolute",
        "margin": 0.0,
    },
    "robust": {
        "plane": "luma",
        "groups": [list(range(6)), list(range(6, BITS))],
        "units": [2.0 ** (i / 2) for i in range(17)],
        "unit_rule": "range",
        "margin": 5.0,
    },
}


def export(profile: str, version: int, train: Path, data: Path, out: Path) -> None:
    hider, revealer = build(profile)
    state = torch.load(train / f"{profile}.pt", weights_only=True)
    nn.ModuleDict({"hider": hider, "revealer": revealer}).load_state_dict(state["networks"])
    hider.eval()
    revealer.eval()
    name = f"{profile}-v{version}"
    hide, reveal = train / f"{name}-hide.onnx", train / f"{name}-reveal.onnx"
    cells, secret = torch.zeros(4, PIXELS), torch.ones(4, BITS)
    unit = torch.ones(1)
    rows = {0: "cells"}
    torch.onnx.export(
        hider, (cells, secret, cells, cells, unit), hide, opset_version=OPSET, dynamo=False,
        input_names=["cells", "secret", "up", "down", "unit"], output_names=["change"],
        dynamic_axes=dict.fromkeys(("cells", "secret", "up", "down", "change"), rows),
    )  # fmt: skip
    torch.onnx.export(
        revealer, (cells, unit), reveal, opset_version=OPSET, dynamo=False,
        input_names=["cells", "unit"], output_names=["logits"], dynamic_axes=dict.fromkeys(("cells", "logits"), rows),
    )  # fmt: skip
    figures = parity(hider, revealer, hide, reveal, data, sample=1 if profile == "fidelity" else None)
    items = training_items(data)
    sources = sorted({(i.source, i.licence) for i in items})
    card = {
        "codec_id": name,
        "profile": profile,
        "hide": {"file": hide.name, "sha256": sha256(hide)},
        "reveal": {"file": reveal.name, "sha256": sha256(reveal)},
        "shapes": {
            "cells": ["N", PIXELS],
            "secret": ["N", BITS],
            "change": ["N", PIXELS],
            "logits": ["N", BITS],
        },
        "layout": LAYOUT[profile],
        "training": {
            "steps": state["step"],
            "images": len(items),
            "data_sha256": data_hash(items),
            "attribution": [{"source": source, "licence": licence} for source, licence in sources],
        },
        "measured": figures,
    }
    for model in (hide, reveal):
        model.replace(out / model.name)
    (out / f"{name}.json").write_text(json.dumps(card, indent=2) + "\n")
    print(json.dumps(card["measured"], indent=2))


def parity(
    hider: nn.Module, revealer: nn.Module, hide: Path, reveal: Path, data: Path, *, sample: int | None
) -> dict[str, Any]:
    """PyTorch and ONNX Runtime must agree: hidden pixels but for ties of rounding, logits to 1e-2, and all bits."""
    rng = np.random.default_rng(7)
    parts = [c for c in load_training(data, sample=sample, most=64, seed=7) if c.unit == 1.0]
    values = np.concatenate([c.values - c.low for c in parts]).astype(np.float32)
    up = np.concatenate([c.high - c.values for c in parts]).astype(np.float32)
    secret = rng.integers(-1, 2, (len(values), BITS)).astype(np.float32)
    unit = np.ones(1, np.float32)
    feeds = {"cells": values, "secret": secret, "up": up, "down": values, "unit": unit}
    hiding = onnxruntime.InferenceSession(hide, providers=["CPUExecutionProvider"])
    revealing = onnxruntime.InferenceSession(reveal, providers=["CPUExecutionProvider"])
    change = hiding.run(None, feeds)[0]
    logits = revealing.run(None, {"cells": values + change, "unit": unit})[0]
    with torch.no_grad():
        same_change = hider(*(torch.from_numpy(v) for v in feeds.values())).numpy()
        same_logits = revealer(torch.from_numpy(values + change), torch.from_numpy(unit)).numpy()
    unlike = float((change != same_change).mean())
    apart = float(np.abs(logits - same_logits).max())
    if unlike > 1e-3 or apart > 1e-2:
        raise SystemExit(
            f"PyTorch and ONNX Runtime disagree: {unlike:.2e} of the pixels, logits by {apart:.2e}"
        )
    used = secret != 0
    return {
        "parity_pixels_unlike": unlike,
        "parity_logits_max_difference": apart,
        "raw_bit_error_rate_lossless": float(((logits < 0) != (secret < 0))[used].mean()),
        "energy_per_bit": float(np.square(change).sum() / used.sum()),
        "unused_certainty": float(np.abs(np.tanh(logits[~used] / 2)).mean()),
    }


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--profile", choices=tuple(LAYOUT), required=True)
    options.add_argument("--model-version", type=int, default=1)
    options.add_argument("--train", type=Path, default=Path(".work/train"))
    options.add_argument("--data", type=Path, default=COLLECTION)
    options.add_argument("--out", type=Path, default=Path("onnx_models"))
    wish = options.parse_args()
    wish.out.mkdir(exist_ok=True)
    export(wish.profile, wish.model_version, wish.train, wish.data, wish.out)


if __name__ == "__main__":
    main()
