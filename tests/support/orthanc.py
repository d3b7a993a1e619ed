"""Real Orthanc peers for tests; the class itself is the one that `sealgate demo` uses."""

from gateway.commands.demo.orthanc import Orthanc

__all__ = ["Orthanc"]
