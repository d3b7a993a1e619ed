"""DICOM on the network: associations, and the messages on them."""
