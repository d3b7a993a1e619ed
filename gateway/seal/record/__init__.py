"""The record: the header fields that are hidden, and the envelope around them."""
