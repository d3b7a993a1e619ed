"""How objects come in: routed, written to the spool, queued, and only then acknowledged."""
