"""An archive that speaks DICOMweb (PS3.18): asked with QIDO-RS, objects come with WADO-RS."""

from __future__ import annotations

import http.client
import json
import re
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote, urlencode, urlsplit

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from gateway import __version__
from gateway.config import Config
from gateway.dicom.file_meta import unwrap
from gateway.dicom.json_model import Model
from gateway.dicom.lazy_bytes import ByteRange, ByteSource
from gateway.dimse.negotiation import plausible
from gateway.dimse.query_scu import FetchedObject, OnObject
from gateway.errors import PeerFailed, PeerUnreachable, SpoolFull, UnreadableObject, UsageError
from gateway.retrieve.identifier import BLOCK_GROUP, QueryLevel
from gateway.retrieve.plan import TooManyInstances, Wanted
from gateway.retrieve.searching import SearchKeys
from gateway.spool import Draft, Spool

T = TypeVar("T")
DICOM = 'multipart/related; type="application/dicom"; transfer-syntax=*'
JSON = "application/dicom+json"
ANSWER_BYTES_MAX = 64 << 20
READ_BYTES = 256 << 10
# Larger objects wait in a file.
IN_MEMORY_BYTES = 16 << 20
PAGE = 1000
_KEY = re.compile(r"[0-9A-F]{8}")
# What is ours to say: where to retrieve, and what an object is.
_NOT_PASSED_ON = ("00081190", "00080054", "0099", f"{BLOCK_GROUP:04X}")


@dataclass(frozen=True)
class Patience:
    """How long an answer may take: an archive that sends a byte now and then would keep us for ever.

    deadline: by time.monotonic().
    is_cancelled: whether nobody wants the answer any more.
    """

    deadline: float
    is_cancelled: Callable[[], bool] = lambda: False

    def read(self, response: http.client.HTTPResponse) -> bytes:
        """The next bytes of an answer; empty at its end. Raises PeerFailed."""
        if time.monotonic() > self.deadline or self.is_cancelled():
            raise PeerFailed("the archive is too slow")
        try:
            return response.read1(READ_BYTES)
        except (OSError, http.client.HTTPException) as error:
            raise PeerFailed(f"the archive broke off: {type(error).__name__}") from error


class WebArchive:
    """For several threads."""

    def __init__(self, config: Callable[[], Config], *, spool: Spool) -> None:
        """config: the configuration in force, asked for each request.

        spool: for objects while they arrive.
        """
        self._config, self._spool = config, spool

    def search(self, keys: SearchKeys, *, limit: int) -> Iterator[Model]:
        """The matches, at most `limit`. Raises PeerError, UsageError."""
        path, parameters = _query_of(keys)
        deadline = time.monotonic() + self._timeout_s()
        yield from self._listed(path, parameters, limit=limit, deadline=deadline)

    def planned(self, study: str, series: str | None, instance: str | None, *, limit: int) -> list[Wanted]:
        """The instances that the archive lists. Raises TooManyInstances, PeerError, UsageError."""
        path = f"/studies/{study}" + (f"/series/{series}" if series else "") + "/instances"
        parameters = {"includefield": "0020000E,00200011,00200013"}
        if instance is not None:
            parameters["00080018"] = instance
        deadline = time.monotonic() + self._timeout_s()
        wanted: dict[str, Wanted] = {}
        for model in self._listed(path, parameters, limit=limit + 1, deadline=deadline):
            found = _wanted(model, study, series)
            if found is not None and instance in (None, found.sop_instance):
                wanted.setdefault(found.sop_instance, found)
        if len(wanted) > limit:
            raise TooManyInstances(f"more than {limit} instances were asked for")
        return sorted(wanted.values(), key=_place)

    def fetch(
        self,
        wanted: Sequence[Wanted],
        *,
        before: Callable[[Sequence[Wanted]], None],
        on_object: OnObject,
        after: Callable[[Sequence[Wanted]], None],
        deadline: float,
        is_cancelled: Callable[[], bool],
    ) -> None:
        """As `Fetcher`: instance after instance, over one connection."""
        with closing(self._connection()) as connection:
            for instance in wanted:
                before([instance])
                if is_cancelled():
                    return
                self._fetch(connection, instance, on_object, Patience(deadline, is_cancelled))
                after([instance])

    def _fetch(
        self,
        connection: http.client.HTTPConnection,
        wanted: Wanted,
        on_object: OnObject,
        patience: Patience,
    ) -> None:
        path = f"/studies/{wanted.study}/series/{wanted.series}/instances/{wanted.sop_instance}"
        with self._asked(connection, path, DICOM) as response:
            if response.status != http.client.OK:
                # What the archive does not send is just missing.
                _drain(response, patience)
                return
            data = WebObject(self._spool)
            try:
                fetched = data.fetched(wanted) if _read_part(response, data, patience) else None
                if fetched is None:
                    # Who knows what else comes on this connection. The next request opens another.
                    connection.close()
                else:
                    on_object(fetched)
            finally:
                data.discard()

    def _listed(
        self, path: str, parameters: Mapping[str, str], *, limit: int, deadline: float
    ) -> Iterator[Model]:
        """Page after page, until one has nothing new."""
        seen: set[tuple[str, ...]] = set()
        asked = 0
        with closing(self._connection()) as connection:
            while len(seen) < limit:
                query = {**parameters, "limit": str(min(PAGE, limit - len(seen))), "offset": str(asked)}
                where = f"{path}?{urlencode(query, quote_via=quote)}"
                models = self._models(connection, where, Patience(deadline))
                asked += len(models)
                new = 0
                for model in models:
                    name = tuple(_first(model, key) for key in ("0020000D", "0020000E", "00080018"))
                    if name not in seen and len(seen) < limit:
                        seen.add(name)
                        new += 1
                        yield model
                if not new:
                    return

    def _models(self, connection: http.client.HTTPConnection, path: str, patience: Patience) -> list[Model]:
        with self._asked(connection, path, JSON) as response:
            if response.status == http.client.NO_CONTENT:
                return []
            if response.status != http.client.OK:
                raise PeerFailed(f"the archive answered a search with the HTTP status {response.status}")
            body = _body(response, patience)
        try:
            content = json.loads(body)
        except ValueError as error:
            raise PeerFailed("the archive answered a search with something else than JSON") from error
        if not isinstance(content, list):
            raise PeerFailed("the archive answered a search with something else than a list")
        return [_cleaned(model) for model in content if isinstance(model, dict)]

    def _asked(
        self, connection: http.client.HTTPConnection, path: str, accept: str
    ) -> http.client.HTTPResponse:
        """Raises PeerUnreachable, PeerFailed."""
        headers = {"Accept": accept, "User-Agent": f"sealgate/{__version__}"}
        try:
            connection.request("GET", urlsplit(self._root()).path.rstrip("/") + path, headers=headers)
            return connection.getresponse()
        except ConnectionRefusedError as error:
            raise PeerUnreachable("the archive's DICOMweb can't be reached") from error
        except (OSError, http.client.HTTPException) as error:
            raise PeerFailed(f"the archive broke off: {type(error).__name__}") from error

    def _connection(self) -> http.client.HTTPConnection:
        parts = urlsplit(self._root())
        timeout_s = self._config().limits.dimse_timeout_s
        if parts.scheme == "https":
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(
                parts.hostname or "", parts.port, timeout=timeout_s, context=context
            )
        return http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout_s)

    def _root(self) -> str:
        """Raises UsageError."""
        table = self._config().retrieve
        if table is None or table.dicomweb is None:
            raise UsageError("there is no retrieve.dicomweb", hint="Add it.")
        return table.dicomweb

    def _timeout_s(self) -> float:
        table = self._config().retrieve
        return table.query_timeout_s if table is not None else 0.0


class WebObject:
    """One object while it comes: in memory, or in a file of the spool when it is long."""

    failure: SpoolFull | None = None

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._content = bytearray()
        self._draft: Draft | None = None
        self._offset = 0

    def write(self, data: bytes) -> None:
        """Raises SpoolFull."""
        if self._draft is None and len(self._content) + len(data) > IN_MEMORY_BYTES:
            self._draft = self._spool.draft()
            self._draft.write(bytes(self._content))
            self._content = bytearray()
        if self._draft is not None:
            self._draft.write(data)
        else:
            self._content += data

    def fetched(self, wanted: Wanted) -> FetchedObject | None:
        """The object under the name that it was asked for; None when no file came. Raises SpoolFull."""
        try:
            named = self._whole(unwrap)
        except UnreadableObject:
            return None
        self._offset = named.offset
        return FetchedObject(
            sop_class=named.sop_class, sop_instance=wanted.sop_instance, syntax=named.syntax, data=self
        )

    def looked_at(self, look: Callable[[ByteSource], T]) -> T:
        """Return what `look` returns for the data set. Raises SpoolFull, and what `look` raises."""
        return self._whole(lambda data: look(ByteRange(data, self._offset, len(data))))

    def _whole(self, look: Callable[[ByteSource], T]) -> T:
        if self._draft is None:
            return look(bytes(self._content))
        try:
            with self._draft.open() as file:
                return look(file)
        except OSError as error:
            raise SpoolFull(f"the spool can't be read: {error.strerror}") from error

    def discard(self) -> None:
        self._content = bytearray()
        if self._draft is not None:
            self._draft.discard()


def _read_part(response: http.client.HTTPResponse, into: WebObject, patience: Patience) -> bool:
    """The first part of a multipart answer; the answer itself where it has no parts.

    Returns whether all of it came, and could be parsed.
    Raises PeerFailed, SpoolFull.
    """
    kind, options = parse_options_header(response.headers.get("Content-Type", ""))
    try:
        if not kind.startswith(b"multipart/"):
            while piece := patience.read(response):
                into.write(piece)
            return not response.length
        parts, whole = 0, False

        def begin() -> None:
            nonlocal parts
            parts += 1

        def data(content: bytes, start: int, end: int) -> None:
            if parts == 1:
                into.write(content[start:end])

        def end() -> None:
            nonlocal whole
            whole = True

        callbacks = {"on_part_begin": begin, "on_part_data": data, "on_end": end}
        parser = MultipartParser(options[b"boundary"], callbacks)  # type: ignore[arg-type]
        while piece := patience.read(response):
            parser.write(piece)
        return whole
    except (FormParserError, KeyError):
        return False


def _body(response: http.client.HTTPResponse, patience: Patience) -> bytes:
    """Raises PeerFailed."""
    body = bytearray()
    while piece := patience.read(response):
        body += piece
        if len(body) > ANSWER_BYTES_MAX:
            raise PeerFailed("the archive's answer is too long")
    return bytes(body)


def _drain(response: http.client.HTTPResponse, patience: Patience) -> None:
    """The connection serves the next request only when this answer was read."""
    _body(response, patience)


def _query_of(keys: SearchKeys) -> tuple[str, dict[str, str]]:
    """Path and parameters of a search."""
    fields, parameters = [], {}
    above = {
        tag: keys.keys[tag][1].decode("ascii", "replace")
        for tag in (0x0020000D, 0x0020000E)
        if tag in keys.keys
    }
    for tag, (_, value) in keys.keys.items():
        fields.append(f"{tag:08X}")
        if value and not (tag in above and keys.level is not QueryLevel.STUDY and plausible(above[tag])):
            parameters[f"{tag:08X}"] = value.decode().replace("\\", ",")
    parameters["includefield"] = ",".join(fields)
    study, series = above.get(0x0020000D, ""), above.get(0x0020000E, "")
    path = f"/studies/{study}" if plausible(study) and keys.level is not QueryLevel.STUDY else ""
    match keys.level:
        case QueryLevel.STUDY:
            return "/studies", parameters
        case QueryLevel.SERIES:
            if plausible(series):
                parameters["0020000E"] = series
            return path + "/series", parameters
        case _:
            if plausible(series):
                if path:
                    path += f"/series/{series}"
                else:
                    parameters["0020000E"] = series
            return path + "/instances", parameters


def _cleaned(model: dict[str, Any]) -> Model:
    """What may be passed on of an answer."""
    return {
        key: element
        for key, element in sorted(model.items())
        if _KEY.fullmatch(key) and isinstance(element, dict) and not key.startswith(_NOT_PASSED_ON)
    }


def _first(model: Model, key: str) -> str:
    values = model.get(key, {}).get("Value")
    return str(values[0]) if isinstance(values, list) and values else ""


def _wanted(model: Model, study: str, series: str | None) -> Wanted | None:
    """None for an answer that names nothing, or something that was not asked for."""
    named, instance = _first(model, "0020000E") or series or "", _first(model, "00080018")
    if _first(model, "0020000D") not in ("", study) or (series is not None and named != series):
        return None
    if not (plausible(named) and plausible(instance)):
        return None
    sop_class = _first(model, "00080016")
    return Wanted(
        study=study,
        series=named,
        sop_class=sop_class if plausible(sop_class) else "",
        sop_instance=instance,
        series_number=_first(model, "00200011"),
        instance_number=_first(model, "00200013"),
    )


def _place(wanted: Wanted) -> tuple[int, str, int, str]:
    numbers = [
        int(text) if text.isascii() and text.isdigit() and len(text) <= 12 else 0
        for text in (wanted.series_number, wanted.instance_number)
    ]
    return numbers[0], wanted.series, numbers[1], wanted.sop_instance
