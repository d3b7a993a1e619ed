"""What `sealgate --version` tells: the version, the codec ids, and what the networks would run on."""

from __future__ import annotations

import re
from importlib.metadata import version
from importlib.resources import files


def about() -> str:
    """Several lines. Never fails, and loads no network: only the names of the shipped cards are read."""
    hides, reads = codec_ids()
    return (
        f"sealgate {version('sealgate')}\n"
        f"hides with: {', '.join(hides) or 'none'}\n"
        f"reads: {', '.join(reads) or 'none'}\n"
        f"provider: {provider()}"
    )


def codec_ids() -> tuple[list[str], list[str]]:
    """Those that hide (of each profile the newest), and all that are read; empty where no cards are installed."""
    try:
        names = sorted(entry.name for entry in files("onnx_models").iterdir())
    except (ImportError, OSError):
        return [], []
    cards = [match for name in names if (match := re.fullmatch(r"(([a-z]+)-v(\d+))\.json", name))]
    newest = {match[2]: match[1] for match in sorted(cards, key=lambda match: int(match[3]))}
    return sorted(newest.values()), [match[1] for match in cards]


def provider() -> str:
    """`CUDA` or `CPU`, on which a worker would run the networks; or why it could not."""
    try:
        from gateway.seal.codec.networks import providers

        return providers()[0].removesuffix("ExecutionProvider")
    except Exception as error:  # noqa: BLE001 - a broken installation is what a person asks the version for
        return f"none, ONNX Runtime can't be loaded ({type(error).__name__})"
