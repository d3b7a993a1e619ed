"""Measure the shipped networks:  python -m export.evaluate [--data FOLDER] [--out docs/evaluation]

Every evaluation image (never one that trained the networks) is hidden in, revealed from and compared: exact recovery,
PSNR with the image's own range as peak, SSIM (gaussian 11 x 11, data range = max - min), largest change. Writes
codec.csv (one row an image) and codec.md (a table by kind); the figures of the cards come from the same run.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
from collections import defaultdict
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import mean

import numpy as np
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

from export.data import COLLECTION, Item, manifest, stored_values
from gateway.seal.codec import Codec, HideFailed, Profile

PAYLOAD_BYTES = 160  # a default record of usual length in its envelope, X25519
SMALLEST = 64  # pixels a side; smaller images are thumbnails and test patterns


@dataclass(frozen=True)
class Row:
    """One image and profile. psnr_db and ssim are empty where nothing was hidden."""

    path: str
    kind: str
    profile: str
    level: str
    recovered: bool
    psnr_db: float | None = None
    ssim: float | None = None
    max_change: int | None = None
    coded_bits: int | None = None
    in_range: bool = True


def evaluation_items(folder: Path) -> list[Item]:
    """Images kept for measuring, and the CT and MR objects that did not train the networks."""
    wanted = ("images/eval", "dicom/series/ct", "dicom/modalities/CT", "dicom/modalities/MR")
    return [item for item in manifest(folder) if not item.trains and item.kind.startswith(wanted)]


def measure(codec: Codec, item: Item, folder: Path, profile: Profile, rng: np.random.Generator) -> Row | None:
    """None for images that policy never seals: not 8 to 16 bit, too small, no image."""
    try:
        values = stored_values(item.path)
    except (ValueError, AttributeError, RuntimeError, NotImplementedError):
        return None
    low, high = int(values.min()), int(values.max())
    if min(values.shape[:2]) < SMALLEST or values.shape[2] not in (1, 3) or high - low > 65535:
        return None
    name, kind = str(item.path.relative_to(folder)), item.kind
    cover = (values - low).astype(np.uint8 if high - low < 256 else np.uint16)[None]
    payload = rng.bytes(PAYLOAD_BYTES)
    try:
        hidden = codec.hide(cover, payload, profile=profile)
    except HideFailed as failure:
        return Row(name, kind, profile, failure.code, recovered=False)
    found = codec.reveal(hidden.container)
    change = hidden.container.astype(np.float64) - cover
    return Row(
        path=name,
        kind=kind,
        profile=profile,
        level="full",
        recovered=found is not None and found.payload == payload,
        psnr_db=round(20 * math.log10(high - low) - 10 * math.log10(np.square(change).mean()), 2),
        ssim=round(similarity(cover[0], hidden.container[0]), 6),
        max_change=hidden.max_change,
        coded_bits=hidden.coded_bits,
        in_range=bool(hidden.container.min() >= cover.min() and hidden.container.max() <= cover.max()),
    )


def similarity(cover: NDArray[np.generic], container: NDArray[np.generic]) -> float:
    return float(
        structural_similarity(
            cover.astype(np.float64),
            container.astype(np.float64),
            data_range=float(cover.max() - cover.min()),
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            channel_axis=2,
        )
    )


def summary(rows: list[Row]) -> list[dict[str, str]]:
    """One line for every profile and kind."""
    groups: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        groups[row.profile, row.kind].append(row)
    lines = []
    for (profile, kind), members in sorted(groups.items()):
        full = [row for row in members if row.level == "full"]
        psnr = [row.psnr_db for row in full if row.psnr_db is not None]
        line = {"profile": profile, "kind": kind, "images": str(len(members)), "full": str(len(full))}
        line["recovered"] = str(sum(row.recovered for row in full))
        if psnr:
            line["PSNR mean dB"] = f"{mean(psnr):.1f}"
            line["PSNR worst dB"] = f"{min(psnr):.1f}"
            line["SSIM worst"] = f"{min(row.ssim or 0 for row in full):.5f}"
            line["largest change"] = str(max(row.max_change or 0 for row in full))
        lines.append(line)
    return lines


def table(lines: list[dict[str, str]]) -> str:
    heads = list(max(lines, key=len))
    rows = [heads, ["---"] * len(heads), *([line.get(head, "") for head in heads] for line in lines)]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--data", type=Path, default=COLLECTION)
    options.add_argument("--out", type=Path, default=Path("docs/evaluation"))
    options.add_argument(
        "--models", type=Path, default=Path("onnx_models"), help="cards to write the figures into"
    )
    wish = options.parse_args()
    codec = Codec.load(wish.models)
    rng = np.random.default_rng(2)
    rows = []
    for number, item in enumerate(items := evaluation_items(wish.data), 1):
        for profile in Profile:
            row = measure(codec, item, wish.data, profile, rng)
            if row is not None:
                rows.append(row)
        print(f"\r{number}/{len(items)}", end="", flush=True)
    print()
    wish.out.mkdir(parents=True, exist_ok=True)
    with (wish.out / "codec.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Row)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
    lines = summary(rows)
    head = (
        f"# Codec figures\n\nMade by `make evaluate`; payload {PAYLOAD_BYTES} bytes, uncompressed path.\n\n"
    )
    (wish.out / "codec.md").write_text(head + table(lines))
    for card_path in sorted(wish.models.glob("*.json")):
        card = json.loads(card_path.read_text())
        card["measured"]["evaluation"] = [line for line in lines if line["profile"] == card["profile"]]
        card_path.write_text(json.dumps(card, indent=2) + "\n")
    print(table(lines))


if __name__ == "__main__":
    main()
