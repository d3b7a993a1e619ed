"""Sealing: a pure core from bytes to bytes.

`seal` is the way in; `gateway.verify` is the way back. FORMAT.md beside this file specifies every byte.
"""

from gateway.seal.documenting import Device
from gateway.seal.fields import DEFAULT_FIELDS
from gateway.seal.job import SealOptions, SealResult
from gateway.seal.sealing import seal

__all__ = ["DEFAULT_FIELDS", "Device", "SealOptions", "SealResult", "seal"]
