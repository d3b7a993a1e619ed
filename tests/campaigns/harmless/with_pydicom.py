"""What archives and tools built on pydicom do."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator
from functools import partial

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGLSLossless, RLELossless

from tests.campaigns.harmless.operation import Declined, Operation

# What pydicom raises for values and pixel data that it doesn't take.
REFUSALS = (ValueError, TypeError, AttributeError, KeyError, NotImplementedError, RuntimeError, OSError)
COMPRESSIONS = {
    "RLE Lossless": "1.2.840.10008.1.2.5",
    "JPEG-LS Lossless": "1.2.840.10008.1.2.4.80",
}

Edit = Callable[[Dataset], None]


def edited(data: bytes, edit: Edit) -> bytes:
    """The file parsed whole, edited and written anew.

    Raises Declined when pydicom doesn't read, edit or write it.
    """
    out = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            dataset = pydicom.dcmread(io.BytesIO(data))
            for _ in dataset.iterall():  # values are parsed when they are looked at
                pass
            edit(dataset)
            dataset.save_as(out, enforce_file_format=True)
        except REFUSALS as error:
            raise Declined(f"pydicom: {str(error)[:120]}") from error
    return out.getvalue()


def _operation(group: str, name: str, edit: Edit) -> Operation:
    return Operation(group, name, "pydicom", lambda data: edited(data, edit))


def operations() -> Iterator[Operation]:
    yield _operation("encoding", "read and written anew", _nothing)
    yield _operation("encoding", "to implicit", partial(_syntax, syntax=ImplicitVRLittleEndian))
    yield _operation("encoding", "to explicit", partial(_syntax, syntax=ExplicitVRLittleEndian))
    yield _operation("encoding", "sequences of undefined length", partial(_lengths, undefined=True))
    yield _operation("encoding", "sequences of defined length", partial(_lengths, undefined=False))
    yield _operation("pixel data", "decompress", _decompress)
    for name, syntax in COMPRESSIONS.items():
        yield _operation("pixel data", name, partial(_compress, syntax=syntax))
    yield _operation("character set", "to ISO_IR 192", _to_utf8)
    yield _operation("character set", "DICOM JSON and back", _through_json)


def _nothing(dataset: Dataset) -> None:
    """Writing anew is enough."""


def _syntax(dataset: Dataset, syntax: UID) -> None:
    if dataset.file_meta.TransferSyntaxUID.is_compressed:
        raise ValueError("compressed")
    dataset.file_meta.TransferSyntaxUID = syntax
    if dataset.original_encoding[1] is False:
        # Numbers that pydicom has not converted, such as pixel data, would keep the byte order of the file.
        raise ValueError("big endian")
    dataset._is_implicit_VR = syntax == ImplicitVRLittleEndian


def _lengths(dataset: Dataset, undefined: bool) -> None:
    for element in dataset.iterall():
        if element.VR == "SQ":
            element.is_undefined_length = undefined
            for item in element.value:
                item.is_undefined_length_sequence_item = undefined


def _decompress(dataset: Dataset) -> None:
    # GDCM ends the whole process over RLE data that it does not like.
    rle = dataset.file_meta.TransferSyntaxUID == RLELossless
    dataset.decompress(
        as_rgb=False, generate_instance_uid=False, decoding_plugin="pydicom" if rle else "gdcm"
    )


def _compress(dataset: Dataset, syntax: str) -> None:
    if dataset.file_meta.TransferSyntaxUID.is_compressed:
        _decompress(dataset)
    plugin = {RLELossless: "pydicom", JPEGLSLossless: "pyjpegls"}.get(UID(syntax), "gdcm")
    dataset.compress(syntax, generate_instance_uid=False, encoding_plugin=plugin)


def _to_utf8(dataset: Dataset) -> None:
    dataset.decode()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    for element in dataset.iterall():
        if element.tag == 0x00080005:
            element.value = "ISO_IR 192"


def _through_json(dataset: Dataset) -> None:
    read = Dataset.from_json(dataset.to_json())
    for tag in list(dataset.keys()):
        if tag != 0x7FE00010 or tag in read:
            del dataset[tag]
    dataset.update(read)
    if "PixelData" in dataset and dataset.file_meta.TransferSyntaxUID.is_compressed:
        raise ValueError("JSON has no fragments")
    dataset.SpecificCharacterSet = "ISO_IR 192"
