"""The parts of `python -m export.evaluate`: the measurements, the methods compared with, and the report."""
