"""The private block in the object: its elements, the signed statement, and the digests in it."""
