"""Which representation a caller accepts (PS3.18 8.3.3, 8.7; RFC 9110 12.5.1)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.requests import Request

from gateway.dicom.syntaxes import EXPLICIT_VR_LE, syntax_of
from gateway.web.errors import BadRequest, NotAcceptable

DICOM = "application/dicom"
JSON = "application/dicom+json"
OCTETS = "application/octet-stream"
MULTIPART = "multipart/related"
# Of compressed frames (PS3.18 tables 8.7.3-2, 8.7.3-3): transfer syntax -> media type.
FRAME_TYPES = {
    "1.2.840.10008.1.2.5": "image/dicom-rle",
    **{f"1.2.840.10008.1.2.4.{part}": "image/jpeg" for part in (50, 51, 57, 70)},
    **{f"1.2.840.10008.1.2.4.{part}": "image/jls" for part in (80, 81)},
    **{f"1.2.840.10008.1.2.4.{part}": "image/jp2" for part in (90, 91)},
    **{f"1.2.840.10008.1.2.4.{part}": "image/jpx" for part in (92, 93)},
    **{f"1.2.840.10008.1.2.4.{part}": "image/jphc" for part in (201, 202, 203)},
}
RANGES_MAX = 64
_PARAMETER = re.compile(r';\s*([^\s=;,"]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^\s;,"]*)')
_RANGE = re.compile(
    r'\s*([^\s;,"]+)((?:\s*;\s*[^\s=;,"]+\s*=\s*(?:"(?:[^"\\]|\\.)*"|[^\s;,"]*))*)\s*(?:,|;?\s*$)'
)


@dataclass(frozen=True)
class MediaRange:
    """One alternative of Accept.

    media_type: of the body, or of the parts of a multipart body; lower case.
    is_multipart: whether the body has parts.
    syntax: the transfer syntax that is asked for: a UID, "*" for any, "" where none is named.
    quality: q, 0 .. 1.
    """

    media_type: str
    is_multipart: bool
    syntax: str
    quality: float


def accepted(request: Request) -> list[MediaRange]:
    """The best first; anything where there is no header. The query parameter goes first. Raises BadRequest."""
    text = request.query_params.get("accept")
    # In an address, a plus that was not encoded is a blank.
    text = ",".join(request.headers.getlist("accept")) if text is None else text.replace("dicom ", "dicom+")
    ranges: list[MediaRange] = []
    at = 0
    if not text.strip():
        text = "*/*"
    while at < len(text):
        match = _RANGE.match(text, at)
        if match is None or len(ranges) >= RANGES_MAX:
            raise BadRequest("the header Accept can't be parsed", hint="See RFC 9110 12.5.1.")
        parameters = {name.lower(): value.strip('"') for name, value in _PARAMETER.findall(match[2])}
        ranges.append(_range(match[1].lower(), parameters))
        at = match.end()
    ranges = [each for each in ranges if each.quality > 0]
    return sorted(ranges, key=lambda each: -each.quality)


def _range(media_type: str, parameters: Mapping[str, str]) -> MediaRange:
    try:
        quality = float(parameters.get("q", "1"))
    except ValueError:
        quality = 0.0
    syntax = parameters.get("transfer-syntax", "")
    if media_type == MULTIPART:
        return MediaRange(parameters.get("type", "*/*").lower(), True, syntax, quality)
    return MediaRange(media_type, False, syntax, quality)


def check_json(request: Request) -> None:
    """Raises NotAcceptable where the caller takes no JSON."""
    fitting = ("*/*", "application/*", JSON, "application/json")
    if not any(each.media_type in fitting and not each.is_multipart for each in accepted(request)):
        raise NotAcceptable("only application/dicom+json is offered here")


@dataclass(frozen=True)
class Chosen:
    """media_type: of the body, or of each part.

    as_stored: whether the transfer syntax of the object is taken as it is.
    syntax: otherwise, the UID that is wanted; "" for the default.
    """

    media_type: str
    is_multipart: bool
    as_stored: bool
    syntax: str


def of_instances(request: Request, *, single: bool) -> Chosen:
    """How objects are sent. Raises NotAcceptable, BadRequest.

    single: whether one object is asked for, which may be sent without multipart.
    """
    for each in accepted(request):
        if each.media_type in (DICOM, "*/*", "application/*") and (
            each.is_multipart or single or each.media_type != DICOM
        ):
            multipart = each.is_multipart or each.media_type != DICOM
            return Chosen(DICOM, multipart, each.syntax == "*", "" if each.syntax == "*" else each.syntax)
    raise NotAcceptable('only multipart/related; type="application/dicom" is offered here')


def of_frames(request: Request, stored: str, *, single: bool) -> Chosen:
    """How frames are sent. Raises NotAcceptable, BadRequest.

    stored: transfer syntax of the object; native ones count as Explicit VR Little Endian.
    single: whether one frame is asked for, which may be sent without multipart.
    """
    native = syntax_of(stored).native
    own_type = OCTETS if native else FRAME_TYPES.get(stored, OCTETS)
    own_syntax = EXPLICIT_VR_LE if native else stored
    for each in accepted(request):
        if not (each.is_multipart or single or each.media_type == "*/*"):
            continue
        multipart = each.is_multipart or each.media_type == "*/*"
        anything = each.media_type in ("*/*", OCTETS, "application/*")
        if each.syntax in ("*", own_syntax) and (anything or each.media_type == own_type):
            named = own_type if each.media_type == "*/*" else each.media_type
            return Chosen(OCTETS if named == "application/*" else named, multipart, True, own_syntax)
        if not each.syntax and each.media_type == own_type and not native:
            return Chosen(own_type, multipart, True, own_syntax)
        if anything and each.syntax in ("", EXPLICIT_VR_LE):
            return Chosen(OCTETS, multipart, native, EXPLICIT_VR_LE)
    raise NotAcceptable("the frames are offered in none of the accepted types")


def of_picture(request: Request, offered: tuple[str, ...]) -> str:
    """The media type of a picture. Raises NotAcceptable, BadRequest."""
    for each in accepted(request):
        if each.media_type in ("*/*", "image/*"):
            return offered[0]
        if each.media_type in offered:
            return each.media_type
    raise NotAcceptable(f"only {' and '.join(offered)} are offered here")
