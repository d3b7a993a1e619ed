"""The parts of `python -m export.evaluate`: what is measured, with what it is compared, how it is shown."""
