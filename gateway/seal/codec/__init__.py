"""The codec: hides a payload in pixels and reveals it, networks and error correction together.

`hide` and `reveal` are the only entrances. Bits are protected by the code of `ldpc`, laid out over the cells of an
image by `layout`, written and read by the ONNX networks of `networks`.
"""

from gateway.seal.codec.codec import Codec, Hidden, Profile, Revealed
from gateway.seal.codec.cover import HideFailed

__all__ = ["Codec", "Hidden", "HideFailed", "Profile", "Revealed"]
