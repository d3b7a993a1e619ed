"""The commands of `sealgate`, one module each: arguments in, lines and an exit code out."""
