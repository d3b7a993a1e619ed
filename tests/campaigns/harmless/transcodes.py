"""Lossless re-encodings of data sets and pixel data, by the tools of DCMTK and GDCM and by our own."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from gateway.dicom.pixels import transcode
from gateway.dicom.syntaxes import TABLE
from gateway.errors import InputError
from tests.campaigns.harmless.operation import Declined, Operation, Workbench

SYNTAXES = {
    "+ti": "implicit",
    "+te": "explicit",
    "+tb": "big endian",
    "+td": "deflated",
    "+t=": "same syntax",
}
ENCODINGS: dict[str, list[str]] = {
    "": [],
    ", group lengths": ["+g"],
    ", without group lengths": ["-g"],
    ", undefined lengths": ["-e"],
    ", padded": ["+p", "512", "64"],
    ", undefined lengths, group lengths, padded": ["-e", "+g", "+p", "2048", "16"],
}
# Name -> commands in a row.
PIXEL_TOOLS: dict[str, list[list[str]]] = {
    "dcmcjpeg JPEG lossless SV1": [["dcmcjpeg", "+e1"]],
    "dcmcjpeg JPEG lossless, predictor 6": [["dcmcjpeg", "+el"]],
    "dcmcjpeg JPEG lossless, fragments of 16 kB": [["dcmcjpeg", "+e1", "+fs", "16"]],
    "dcmcjpeg JPEG lossless, undefined lengths, no offset table": [["dcmcjpeg", "+e1", "-e", "-ot"]],
    "dcmcjpeg, dcmdjpeg": [["dcmcjpeg", "+e1"], ["dcmdjpeg"]],
    "dcmdjpeg": [["dcmdjpeg"]],
    "dcmdjpeg +cn": [["dcmdjpeg", "+cn"]],
    "dcmcjpls": [["dcmcjpls"]],
    "dcmcjpls cooked, sample interleaved": [["dcmcjpls", "+pc", "+is"]],
    "dcmcjpls, dcmdjpls": [["dcmcjpls"], ["dcmdjpls"]],
    "dcmdjpls": [["dcmdjpls"]],
    "dcmcrle": [["dcmcrle"]],
    "dcmcrle, dcmdrle": [["dcmcrle"], ["dcmdrle"]],
    "dcmdrle": [["dcmdrle"]],
    "gdcmconv --raw": [["gdcmconv", "--raw"]],
    "gdcmconv --jpeg": [["gdcmconv", "--jpeg"]],
    "gdcmconv --jpegls": [["gdcmconv", "--jpegls"]],
    "gdcmconv --j2k": [["gdcmconv", "--j2k"]],
    "gdcmconv --rle": [["gdcmconv", "--rle"]],
    "gdcmconv --deflated": [["gdcmconv", "--deflated"]],
    "gdcmconv --implicit": [["gdcmconv", "--implicit"]],
    "gdcmconv --explicit": [["gdcmconv", "--explicit"]],
    "gdcmconv --explicit --use-dict": [["gdcmconv", "--explicit", "--use-dict"]],
    "gdcmconv --implicit, --explicit": [["gdcmconv", "--implicit"], ["gdcmconv", "--explicit"]],
    "gdcmconv --remove-gl": [["gdcmconv", "--remove-gl"]],
    "gdcmconv --j2k, --raw": [["gdcmconv", "--j2k"], ["gdcmconv", "--raw"]],
    "gdcmconv --jpegls, --rle": [["gdcmconv", "--jpegls"], ["gdcmconv", "--force", "--rle"]],
    "gdcmconv --raw --planar-configuration 1": [["gdcmconv", "--raw", "--planar-configuration", "1"]],
    "dcmcjpls, gdcmconv --raw": [["dcmcjpls"], ["gdcmconv", "--raw"]],
    "dcmdjpeg, dcmcjpls, dcmdjpls, dcmconv +ti": [
        ["dcmdjpeg"],
        ["dcmcjpls"],
        ["dcmdjpls"],
        ["dcmconv", "+ti"],
    ],
    "dcmconv +ti, +te": [["dcmconv", "+ti"], ["dcmconv", "+te"]],
    "dcmconv +tb, +ti, +td, +te": [["dcmconv", t] for t in ("+tb", "+ti", "+td", "+te")],
    "dcmconv -u": [["dcmconv", "-u"]],
    "dcmconv +te -u": [["dcmconv", "+te", "-u"]],
}
CHARSETS: dict[str, list[list[str]]] = {
    "dcmconv +U8": [["dcmconv", "+U8"]],
    "dcmconv +L1": [["dcmconv", "+L1"]],
    "dcmconv +C GB18030": [["dcmconv", "+C", "GB18030"]],
    "dcmconv +U8, +ti": [["dcmconv", "+U8"], ["dcmconv", "+ti", "-e"]],
    "dcm2xml, xml2dcm": [["dcm2xml", "+Wb", "+M"], ["xml2dcm"]],
    "dcm2xml +U8, xml2dcm": [["dcm2xml", "+Wb", "+M", "+U8"], ["xml2dcm"]],
}


def operations(bench: Workbench) -> Iterator[Operation]:
    for option, syntax in SYNTAXES.items():
        for encoding, options in ENCODINGS.items():
            yield _by_tools(bench, "encoding", f"dcmconv {syntax}{encoding}", [["dcmconv", option, *options]])
    for name, commands in PIXEL_TOOLS.items():
        yield _by_tools(bench, "pixel data", name, commands)
    for name, commands in CHARSETS.items():
        yield _by_tools(bench, "character set", name, commands)
    for row in TABLE.values():
        if row.reversible and row.encoder:
            yield Operation("pixel data", row.name, "gateway", partial(_ours, syntax=row.uid))


def _by_tools(bench: Workbench, group: str, name: str, commands: list[list[str]]) -> Operation:
    tools = dict.fromkeys(command[0] for command in commands)
    return Operation(group, name, ", ".join(tools), lambda data: bench.run(data, *commands))


def _ours(data: bytes, syntax: str) -> bytes:
    try:
        return transcode(data, syntax)
    except InputError as error:
        raise Declined(str(error)) from error
