"""The commands of `sealgate`, one module for each: it takes arguments, prints lines and returns an exit code."""
