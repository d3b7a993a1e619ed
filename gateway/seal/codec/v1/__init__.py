"""Marks of the codec ids `fidelity-v1` and `robust-v1`: read, never written. Byte-exact rules: CODEC-v1.md."""
