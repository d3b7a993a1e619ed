"""ONNX Runtime, which tells nobody what it does here. No other module imports it.

Its builds write a device id and a store of events into the home folder while they are imported, and send them away
(https://github.com/microsoft/onnxruntime/pull/27379). Only a variable that is set before that keeps it from it.
"""

from __future__ import annotations

import os

# The first name is that of the releases 1.29 to 1.32, the second one that of later ones.
os.environ.update({"ORT_DISABLE_TELEMETRY": "1", "ORT_TELEMETRY_DISABLED": "1"})

import onnxruntime

# On Windows, which does not read the variable.
onnxruntime.disable_telemetry_events()

__all__ = ["onnxruntime"]
