"""The elements of patient and study that an archive is asked for, and that the Seal report takes over."""

from __future__ import annotations

# Tag -> VR. PS3.3 C.7.1.1, C.7.2.1.
STUDY_HEADER = {
    0x00080005: b"CS",
    0x00080020: b"DA",
    0x00080030: b"TM",
    0x00080050: b"SH",
    0x00080090: b"PN",
    0x00100010: b"PN",
    0x00100020: b"LO",
    0x00100021: b"LO",
    0x00100030: b"DA",
    0x00100040: b"CS",
    0x00200010: b"SH",
}
