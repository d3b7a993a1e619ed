"""Images that are no DICOM objects (PNG, JPEG, TIFF): read, and wrapped into objects."""
