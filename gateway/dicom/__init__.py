"""The DICOM file layer: data elements, pixel data and transfer syntaxes, without any policy."""
