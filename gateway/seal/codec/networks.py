"""The ONNX networks of a codec id, loaded with their signed card."""

from __future__ import annotations

import hashlib
import json
import re
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from numpy.typing import NDArray

from gateway.errors import ResourceError
from gateway.seal.codec.layout import BITS
from gateway.seal.codec.onnx import onnxruntime

CELLS_AT_ONCE = 1 << 15
"""It limits the memory of one run: a cell needs about 2 kB in the network."""

CUDA = "CUDAExecutionProvider"
CPU = "CPUExecutionProvider"
# Of a network in the folder of its card.
MODEL_NAME = re.compile(r"[a-z]+-v[0-9]+-(hide|reveal)\.onnx")


class ModelFileError(ResourceError):
    """A network or its card is missing, or the network is not the file that the card names."""

    code = "model-file"
    retry = False
    hint = "Install the package again; the models are part of it."


def release_key(path: Traversable | Path | None = None) -> Ed25519PublicKey:
    """The public key with which the signatures of cards are checked.

    path: a PEM file; None: the key of this release.
    Raises ModelFileError when the file can't be read, or holds no Ed25519 key.
    """
    source = path or files("gateway.seal.codec") / "release.pub"
    try:
        key = load_pem_public_key(source.read_bytes())
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        raise ModelFileError(f"the release key {source.name}: {error}") from error
    if not isinstance(key, Ed25519PublicKey):
        raise ModelFileError(f"the release key {source.name} is not an Ed25519 key")
    return key


def read_card(folder: Traversable | Path, name: str, key: Ed25519PublicKey) -> dict[str, Any]:
    """The JSON card of a codec id, after its signature was checked (RFC 8032, 64 bytes in a file beside the card).

    name: the codec id.
    Raises ModelFileError when a file is missing, damaged or a link, when the signature is not that of `key`, or when
    the card is that of another codec id: a card says for what it was signed, and its file name does not.
    """
    try:
        content = _bytes(folder, f"{name}.json")
        key.verify(_bytes(folder, f"{name}.json.sig"), content)
        card = json.loads(content)
    except InvalidSignature as error:
        raise ModelFileError(f"model {name}: its card is not signed with the release key") from error
    except (OSError, ValueError) as error:
        raise ModelFileError(f"model {name}: {error}") from error
    if not isinstance(card, dict):
        raise ModelFileError(f"model {name}: the card is no JSON object")
    if (card.get("codec_id"), card.get("profile")) != (name, name.partition("-")[0]):
        raise ModelFileError(f"model {name}: the card is that of {card.get('codec_id')!r}")
    return card


def _bytes(folder: Traversable | Path, name: str) -> bytes:
    """The content of a file of the folder itself.

    Raises ModelFileError when it is a link: then whoever may write elsewhere decides what is loaded.
    Raises OSError.
    """
    file = folder / name
    if isinstance(file, Path) and file.is_symlink():
        raise ModelFileError(f"model: {name} is a link")
    return file.read_bytes()


class Network:
    """One ONNX session over cells. It must be used from one thread at a time."""

    def __init__(
        self, folder: Traversable | Path, entry: dict[str, str], *, output: int, threads: int
    ) -> None:
        """entry: file name and SHA-256, as a card gives them.
        output: number of values for each cell.
        Raises ModelFileError when the file is missing, lies elsewhere, or its hash is not the one in the card.
        """
        try:
            if not MODEL_NAME.fullmatch(entry["file"]):
                raise ModelFileError(f"model: {entry['file']!r} is no name of a model")
            model = _bytes(folder, entry["file"])
            if hashlib.sha256(model).hexdigest() != entry["sha256"]:
                raise ModelFileError(f"{entry['file']} differs from its card")
        except (OSError, KeyError, TypeError) as error:
            raise ModelFileError(f"model: {error}") from error
        self._session = _session(model, threads)
        self._name = self._session.get_outputs()[0].name
        self._output = output
        self.provider: str = self._session.get_providers()[0]

    def run(self, unit: float, **inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """The output for all cells, (N, output). Parts of limited size write straight into their rows of the result.

        unit: strength, in stored values.
        inputs: (N, ...) each.
        """
        count = len(next(iter(inputs.values())))
        result = np.empty((count, self._output), np.float32)
        for start in range(0, count, CELLS_AT_ONCE):
            rows = result[start : start + CELLS_AT_ONCE]
            binding = self._session.io_binding()
            for name, values in inputs.items():
                binding.bind_cpu_input(name, np.ascontiguousarray(values[start : start + CELLS_AT_ONCE]))
            binding.bind_cpu_input("unit", np.array([unit], np.float32))
            binding.bind_output(self._name, "cpu", 0, np.float32, rows.shape, rows.ctypes.data)
            self._session.run_with_iobinding(binding)
        return result


class Revealer:
    """The revealing network: logits from cells."""

    def __init__(self, folder: Traversable | Path, card: dict[str, Any], *, threads: int) -> None:
        self._network = Network(folder, card["reveal"], output=BITS, threads=threads)
        self.provider = self._network.provider

    def reveal(self, cells: NDArray[np.float32], unit: float) -> NDArray[np.float32]:
        """Logits, (N, 16), positive for bit 0.

        cells: (N, 64), stored values.
        unit: strength, in stored values.
        """
        return self._network.run(unit, cells=levelled(cells))


def levelled(cells: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cells minus their first pixel. Patterns have no mean, and small numbers keep 16-bit data exact in float32."""
    return cells - cells[:, :1]


def _session(model: bytes, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model, options, providers=providers())


def providers() -> list[str]:
    """CUDA only where there is a GPU: otherwise ONNX Runtime would complain at every start."""
    gpu = CUDA in onnxruntime.get_available_providers() and Path("/dev/nvidiactl").exists()
    return [CUDA, CPU] if gpu else [CPU]


def shipped() -> Traversable:
    """The folder with the networks of this release."""
    return files("onnx_models")
