"""Sealgate: a DICOM gateway that seals images on their way to the PACS and verifies them on the way back."""

__version__ = "0.1.0"
