"""The header of an object: what it means, what a difference means, and the header as it was received."""
