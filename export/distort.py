"""Distortions of a container between hiding and revealing, for training.

They use real codecs. Gradients pass straight through them. Cells are (N, 64) stored values.
"""

from __future__ import annotations

import imagecodecs
import numpy as np
import torch
from torch import Tensor

from export.model import CELL, PIXELS, straight_through


def noise(cells: Tensor, sigma: Tensor, generator: torch.Generator) -> Tensor:
    """Add gaussian noise and round.

    sigma: standard deviation of each cell, (N, 1) stored values, or one for all.
    """
    noisy = cells + sigma * torch.randn(cells.shape, generator=generator)
    return straight_through(noisy.round(), cells)


def near_lossless(cells: Tensor, near: int, generator: torch.Generator) -> Tensor:
    """Add errors of -near .. near stored values, all equally likely, as near-lossless JPEG-LS does in noisy places."""
    return cells + torch.randint(-near, near + 1, cells.shape, generator=generator)


def jpeg(cells: Tensor, quality: int) -> Tensor:
    """Pass cells through baseline JPEG; each cell is one of JPEG's own 8 x 8 blocks.

    cells: (N, 64) grey levels, 0 .. 255.
    quality: 1 .. 100.
    """
    height = -(-len(cells) // 64)
    sheet = np.zeros((height * 64, PIXELS), np.uint8)
    sheet[: len(cells)] = cells.detach().round().clamp(0, 255).to(torch.uint8).numpy()
    image = sheet.reshape(height, 64, CELL, CELL).swapaxes(1, 2).reshape(height * CELL, 64 * CELL)
    decoded = imagecodecs.jpeg_decode(imagecodecs.jpeg_encode(np.ascontiguousarray(image), level=quality))
    decoded = decoded.reshape(height, CELL, 64, CELL).swapaxes(1, 2).reshape(-1, PIXELS)[: len(cells)]
    return straight_through(torch.from_numpy(decoded.astype(np.float32)), cells)
