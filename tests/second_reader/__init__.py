"""A second reader of sealed objects, written from FORMAT.md, CODEC.md, the two data files and the standards alone.

It shows that the documents are enough, and that nobody who has sealed objects depends on `gateway`. It imports the
standard library, cryptography, blake3 and numpy. `payload` needs somebody who runs the networks, and reads what is
written today. What the reader can't do (compressed pixel data but RLE) it says: `reading.Reading.verdict` is then None,
with a reason.
"""
