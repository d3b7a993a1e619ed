"""The codec: hides a payload in pixels and reveals it, networks and error correction together.

`hide`, `hide_many` and `reveal` are the only ways in. Bits are protected by the code of `ldpc`, laid out over the cells
of an image by `order`, and written and read by the ONNX networks of `networks`. `v1` reads what older versions hid.
"""

from gateway.seal.codec.codec import Codec
from gateway.seal.codec.cover import HideFailed
from gateway.seal.codec.hiding import Cover
from gateway.seal.codec.results import (
    Frames,
    Hidden,
    Profile,
    Revealed,
)

__all__ = ["Codec", "Cover", "Frames", "Hidden", "HideFailed", "Profile", "Revealed"]
