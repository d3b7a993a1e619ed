"""Give back the original of a sealed object: the entrance beside `gateway.verify`."""

from gateway.seal.findings import Restoration
from gateway.seal.restore import restore

__all__ = ["Restoration", "restore"]
