"""A second reader of sealed objects, written from FORMAT.md, its two data files and the standards alone.

It shows that the document is enough, and that nobody who has sealed objects depends on `gateway`. It imports the
standard library, cryptography, blake3 and numpy. What it can't do (compressed pixel data but RLE, reading a payload out
of the pixels) it says: `reading.Reading.verdict` is then None, with a reason.
"""
