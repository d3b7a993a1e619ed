"""How large a deflated data set becomes, found out before it takes any memory.

A megabyte may become a gigabyte, so that whoever works on objects of others looks first.
"""

from __future__ import annotations

import zlib

from gateway.dicom.lazy_bytes import ByteSource
from gateway.dicom.part10 import file_meta
from gateway.dicom.syntaxes import Form, syntax_of
from gateway.dicom.tags import TRANSFER_SYNTAX_UID
from gateway.errors import TooMuchMemory, UnreadableObject

# Bytes that are looked at, and bytes that they become, at once.
DEFLATED_AT_ONCE, INFLATED_AT_ONCE = 64 << 10, 1 << 20
# Working on a data set takes several times its size: it may be this part of the memory that a process may have.
PART_OF_MEMORY = 1 / 8


def check_inflated(data: ByteSource, *, memory_bytes: int) -> None:
    """Raise TooMuchMemory when a deflated data set becomes too large. Everything else passes, damaged data too.

    data: a file, in memory or not.
    memory_bytes: that working on it may take.
    """
    try:
        meta, at = file_meta(data)
    except UnreadableObject:
        return
    syntax = meta.get(TRANSFER_SYNTAX_UID, b"").decode("latin-1").strip(" \0")
    if syntax_of(syntax).form is not Form.DEFLATED:
        return
    size_max, size = int(memory_bytes * PART_OF_MEMORY), 0
    engine = zlib.decompressobj(-zlib.MAX_WBITS)
    for start in range(at, len(data), DEFLATED_AT_ONCE):
        piece = data[start : start + DEFLATED_AT_ONCE]
        while piece and not engine.eof:
            try:
                size += len(engine.decompress(piece, INFLATED_AT_ONCE))
            except zlib.error:
                return
            piece = engine.unconsumed_tail
            if size > size_max:
                raise TooMuchMemory(
                    f"its deflated data set would need more than {size_max} bytes, which is as much as it may be "
                    f"where {memory_bytes} bytes of memory are allowed"
                )
