"""Sealing: a pure core from bytes to bytes.

`seal` is the way in; `gateway.seal.verifying` is the way back. FORMAT.md beside this file specifies every byte.
"""

from gateway.seal.context import SealOptions, SealResult
from gateway.seal.documenting import Device
from gateway.seal.record.fields import DEFAULT_FIELDS
from gateway.seal.sealing import seal

__all__ = ["DEFAULT_FIELDS", "Device", "SealOptions", "SealResult", "seal"]
