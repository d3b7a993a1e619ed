"""The codec ids `fidelity-v1` and `robust-v1`, which are only read. CODEC-v1.md has the byte-exact rules."""
