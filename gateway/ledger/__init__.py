"""The ledger: an append-only, tamper-evident log of what this gateway sealed. LEDGER.md has every byte of it."""
