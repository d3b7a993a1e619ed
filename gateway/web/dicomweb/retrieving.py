"""WADO-RS (PS3.18 10.4): what the archive holds, verified and restored, as a viewer on the web asks for it."""

from __future__ import annotations

import asyncio
import hashlib
import zlib
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Executor, Future
from functools import partial
from pathlib import Path
from typing import TypeVar

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from gateway.dicom.lazy_bytes import ByteSource, pieces
from gateway.dicom.rendering import SIDE_MAX, Rendering, Window
from gateway.dicom.syntaxes import EXPLICIT_VR_LE, syntax_of
from gateway.errors import FileMissing, GatewayError, PeerError, ResourceError
from gateway.observe import Log, Metrics
from gateway.retrieve.pipeline import NotSent
from gateway.retrieve.plan import Wanted
from gateway.retrieve.verified import ATTEMPTS, ROOT, VerifiedObject, VerifiedObjects
from gateway.spool.stored import opened
from gateway.web.admission import Visit
from gateway.web.cross_origin import FINDINGS
from gateway.web.dicomweb import negotiation, verdicts
from gateway.web.dicomweb.multipart import MultipartWriter
from gateway.web.dicomweb.paths import frames_of, uids_of
from gateway.web.dicomweb.verdicts import Outcome
from gateway.web.dicomweb.visits import Disclosures, Visits
from gateway.web.errors import BadRequest, Gone, NotAcceptable, NotFound, Withheld
from gateway.work.handover import SecretFile, handed_over
from gateway.work.return_pool import ReturnPool
from gateway.work.tasks import ConvertedFile, ConvertFileTask, FrameTask

T = TypeVar("T")
# Caches on the way must not keep it; a viewer may, but asks again.
HEADERS = {"Cache-Control": "private, no-cache", "Vary": "Accept, Authorization"}
# Objects that are on their way to a caller at once.
WINDOW = 32
# Of a picture in a list.
THUMBNAIL_SIDE = 128
LEFT_OUT = (
    '299 sealgate "withheld instances, and those that did not come, are left out; see /api/v1/findings"'
)
PICTURES = ("image/jpeg", "image/png")
_STUDY = "/studies/{study}"
_SERIES = _STUDY + "/series/{series}"
_INSTANCE = _SERIES + "/instances/{instance}"


class RetrieveEndpoints:
    """For one event loop."""

    def __init__(
        self,
        visits: Visits,
        objects: VerifiedObjects,
        *,
        pool: Callable[[], ReturnPool],
        data_dir: Path,
        threads: Executor,
        disclosures: Disclosures,
        metrics: Metrics,
        log: Log,
    ) -> None:
        """pool: the one in force.

        threads: those that wait for the archive.
        """
        self._visits, self._objects, self._pool, self._data_dir = visits, objects, pool, data_dir
        self._threads, self._disclosures = threads, disclosures
        self._metrics, self._log = metrics, log

    def routes(self) -> list[Route]:
        endpoints = [
            *((ROOT + path, self._instances) for path in (_STUDY, _SERIES, _INSTANCE)),
            *((ROOT + path + "/metadata", self._metadata) for path in (_STUDY, _SERIES, _INSTANCE)),
            (ROOT + _INSTANCE + "/frames", self._frames),
            (ROOT + _INSTANCE + "/frames/{frames}", self._frames),
            (ROOT + _INSTANCE + "/bulkdata/{tag}", self._bulk_data),
            (ROOT + _INSTANCE + "/rendered", self._rendered),
            (ROOT + _INSTANCE + "/frames/{frames}/rendered", self._rendered),
            *((ROOT + path + "/thumbnail", self._thumbnail) for path in (_STUDY, _SERIES, _INSTANCE)),
            (ROOT + _INSTANCE + "/frames/{frames}/thumbnail", self._thumbnail),
            *((FINDINGS + path, self._findings) for path in (_STUDY, _SERIES, _INSTANCE)),
        ]
        return [Route(path, self._visits.endpoint(handler), methods=["GET"]) for path, handler in endpoints]

    # -- many

    async def _metadata(self, request: Request, visit: Visit) -> Response:
        negotiation.check_json(request)
        wanted = await self._planned(request)
        outcomes = await self._outcomes(wanted)
        await self._disclose(visit, wanted, outcomes, service="wado-rs metadata")
        zipped = "gzip" in request.headers.get("accept-encoding", "")
        headers = HEADERS | verdicts.header(outcomes) | _tag(f"metadata {zipped}", outcomes)
        if _is_known(request, headers):
            return Response(status_code=304, headers=headers)
        if zipped:
            headers |= {"Content-Encoding": "gzip"}
        headers["Vary"] += ", Accept-Encoding"
        body = _json_array(
            [partial(verdicts.metadata, *pair) for pair in zip(wanted, outcomes, strict=True)], zipped
        )
        return StreamingResponse(body, media_type=negotiation.JSON, headers=headers)

    async def _findings(self, request: Request, visit: Visit) -> Response:
        """`known=1`: of the objects that were looked at before; the archive is not asked."""
        if request.query_params.get("known") == "1":
            kept = self._objects.kept_of(request.path_params["study"])
            wanted, outcomes = [each.wanted for each in kept], list[verdicts.Outcome](kept)
        else:
            wanted = await self._planned(request)
            outcomes = await self._outcomes(wanted)
        await self._disclose(visit, wanted, outcomes, service="findings")
        content = await run_in_threadpool(verdicts.findings, list(zip(wanted, outcomes, strict=True)))
        return JSONResponse(content, headers=HEADERS | verdicts.header(outcomes))

    async def _instances(self, request: Request, visit: Visit) -> Response:
        single = "instance" in request.path_params
        chosen = negotiation.of_instances(request, single=single)
        if single:
            return await self._instance(request, visit, chosen)
        wanted = await self._planned(request)
        # Those that are sent first decide about the status where that can't wait for all.
        outcomes = await self._outcomes(wanted[:WINDOW])
        await self._disclose(visit, wanted[:WINDOW], outcomes, service="wado-rs")
        complete = len(wanted) <= WINDOW
        good = [outcome for outcome in outcomes if _is_handed_out(outcome)]
        if complete and not good:
            raise _refusal(outcomes[0])
        partial_answer = not complete or len(good) < len(outcomes)
        headers = dict(HEADERS)
        if complete:
            headers |= verdicts.header(outcomes) | _tag(
                f"instances {chosen.syntax} {chosen.as_stored}", outcomes
            )
            if _is_known(request, headers):
                return Response(status_code=304, headers=headers)
        if partial_answer:
            headers["Warning"] = LEFT_OUT
        writer = MultipartWriter(negotiation.DICOM)
        body = self._multipart(wanted, outcomes, visit, chosen, writer)
        return StreamingResponse(
            body, 206 if partial_answer else 200, media_type=writer.content_type, headers=headers
        )

    async def _multipart(
        self,
        wanted: Sequence[Wanted],
        outcomes: list[Outcome],
        visit: Visit,
        chosen: negotiation.Chosen,
        writer: MultipartWriter,
    ) -> AsyncIterator[bytes]:
        """Window after window; the next is fetched while one is sent."""
        for start in range(0, len(wanted), WINDOW):
            if start:
                outcomes = await self._outcomes(wanted[start : start + WINDOW])
                await self._disclose(visit, wanted[start : start + WINDOW], outcomes, service="wado-rs")
            following = wanted[start + WINDOW : start + 2 * WINDOW]
            if following:
                self._objects.load(following)
            for outcome in outcomes:
                if not _is_handed_out(outcome):
                    continue
                assert isinstance(outcome, VerifiedObject)
                async for piece in self._part(outcome, chosen, writer):
                    yield piece
        yield writer.end()

    async def _part(
        self, verified: VerifiedObject, chosen: negotiation.Chosen, writer: MultipartWriter
    ) -> AsyncIterator[bytes]:
        try:
            syntax, content = await self._object(verified, chosen)
        except NotAcceptable:
            # PS3.18 8.7.8: what can't be sent as it was asked for is left out.
            return
        head = writer.head(
            f"{negotiation.DICOM}; transfer-syntax={syntax}",
            {"Content-Location": _location(verified), **verdicts.header([verified])},
        )
        yield head
        async for piece in content:
            yield piece
        yield writer.after

    # -- one object

    async def _instance(self, request: Request, visit: Visit, chosen: negotiation.Chosen) -> Response:
        verified = await self._one(request, visit)
        headers = (
            HEADERS | verdicts.header([verified]) | _tag(f"{chosen.syntax} {chosen.as_stored}", [verified])
        )
        if _is_known(request, headers):
            return Response(status_code=304, headers=headers)
        syntax, content = await self._object(verified, chosen)
        if not chosen.is_multipart:
            return StreamingResponse(
                content, media_type=f"{negotiation.DICOM}; transfer-syntax={syntax}", headers=headers
            )
        writer = MultipartWriter(negotiation.DICOM)

        async def body() -> AsyncIterator[bytes]:
            yield writer.head(
                f"{negotiation.DICOM}; transfer-syntax={syntax}", {"Content-Location": _location(verified)}
            )
            async for piece in content:
                yield piece
            yield writer.after + writer.end()

        return StreamingResponse(body(), media_type=writer.content_type, headers=headers)

    async def _object(
        self, verified: VerifiedObject, chosen: negotiation.Chosen
    ) -> tuple[str, AsyncIterator[bytes]]:
        """Transfer syntax and bytes of an object. Raises NotAcceptable, GatewayError."""
        stored = verified.presentation.syntax
        syntax = stored if chosen.as_stored else chosen.syntax
        if not syntax:
            # What can't be brought into the default without loss stays what it is.
            syntax = EXPLICIT_VR_LE if syntax_of(stored).reversible else stored
        if syntax == stored or not stored:
            return stored, await _begun(self._read(verified))
        if not (syntax_of(stored).reversible and syntax_of(syntax).encoder):
            raise NotAcceptable(f"no way without loss from {stored} to {syntax}")
        return syntax, await _begun(self._converted(verified, syntax))

    async def _read(self, verified: VerifiedObject) -> AsyncIterator[bytes]:
        """The file in pieces."""
        verified = await self._still_there(verified)
        with verified.opened() as data:
            async for piece in _in_pieces(data):
                yield piece

    async def _converted(self, verified: VerifiedObject, syntax: str) -> AsyncIterator[bytes]:
        verified = await self._still_there(verified)
        assert verified.file is not None
        with handed_over(self._data_dir, b"") as scratch:
            target = scratch.beside("converted")
            task = ConvertFileTask(file=verified.file, target=target, syntax=syntax)
            await _done(self._pool().submit(task))
            with opened(target.path, target.key) as data:
                async for piece in _in_pieces(data):
                    yield piece

    async def _still_there(self, verified: VerifiedObject) -> VerifiedObject:
        """The object, fetched again if it was removed from the cache meanwhile. Raises GatewayError."""
        for _ in range(ATTEMPTS):
            if verified.file is not None and verified.file.path.exists():
                break
            verified = await asyncio.wrap_future(self._objects.load([verified.wanted])[0])
        return verified

    async def _frames(self, request: Request, visit: Visit) -> Response:
        text = request.path_params.get("frames")
        numbers = frames_of(text) if text is not None else None
        verified = await self._one(request, visit)
        presentation = verified.presentation
        if not presentation.frames:
            raise NotFound("the object has no frames", hint="Ask for the object itself.")
        numbers = numbers or list(range(1, len(presentation.frames) + 1))
        if max(numbers) > len(presentation.frames):
            raise NotFound("the object has no such frame", hint="Number of Frames says how many there are.")
        chosen = negotiation.of_frames(request, presentation.syntax, single=len(numbers) == 1)
        headers = HEADERS | verdicts.header([verified]) | _tag(f"frames {numbers} {chosen}", [verified])
        if _is_known(request, headers):
            return Response(status_code=304, headers=headers)
        described = f"{chosen.media_type}; transfer-syntax={chosen.syntax}"
        if not chosen.is_multipart:
            frame = await self._frame(verified, numbers[0], chosen)
            return Response(frame, media_type=described, headers=headers)
        writer = MultipartWriter(chosen.media_type)
        if len(numbers) == 1:
            frame = await self._frame(verified, numbers[0], chosen)
            body = b"".join([writer.head(described), frame, writer.after, writer.end()])
            return Response(body, media_type=writer.content_type, headers=headers)

        async def parts() -> AsyncIterator[bytes]:
            for number in numbers:
                frame = await self._frame(verified, number, chosen)
                yield b"".join([writer.head(described), frame, writer.after])
            yield writer.end()

        return StreamingResponse(parts(), media_type=writer.content_type, headers=headers)

    async def _frame(self, verified: VerifiedObject, number: int, chosen: negotiation.Chosen) -> bytes:
        """The bytes of one frame. Raises GatewayError."""
        if chosen.as_stored:
            return await self._reading(verified, lambda each: _cut(each, number))
        return await self._made(verified, number, None)

    async def _reading(self, verified: VerifiedObject, read: Callable[[VerifiedObject], T]) -> T:
        """Again, if the object was removed from the cache meanwhile. Raises GatewayError."""
        for _ in range(ATTEMPTS):
            try:
                return await run_in_threadpool(read, verified)
            except FileMissing:
                verified = await asyncio.wrap_future(self._objects.load([verified.wanted])[0])
        return await run_in_threadpool(read, verified)

    async def _made(self, verified: VerifiedObject, number: int, rendering: Rendering | None) -> bytes:
        """A frame that a worker process decodes, or draws. Raises GatewayError."""
        verified = await self._still_there(verified)
        file = verified.file
        assert file is not None
        return await _in_scratch(
            self._data_dir,
            lambda target: self._pool().submit(
                FrameTask(file=file, target=target, number=number, rendering=rendering)
            ),
        )

    async def _bulk_data(self, request: Request, visit: Visit) -> Response:
        verified = await self._one(request, visit)
        name = request.path_params["tag"]
        where = verified.presentation.bulk.get(int(name, 16)) if _is_tag(name) else None
        if where is None:
            raise NotFound("the object has no such bulk data", hint="Take the address from the metadata.")
        ranges = negotiation.accepted(request)
        best = next((each for each in ranges if each.media_type in (negotiation.OCTETS, "*/*")), None)
        if best is None:
            raise NotAcceptable("only application/octet-stream is offered here")
        headers = HEADERS | verdicts.header([verified]) | _tag(f"bulk {name}", [verified])
        if _is_known(request, headers):
            return Response(status_code=304, headers=headers)
        content = await self._reading(verified, lambda each: _range(each, where))
        if not best.is_multipart:
            return Response(content, media_type=negotiation.OCTETS, headers=headers)
        writer = MultipartWriter(negotiation.OCTETS)
        head = writer.head(f"{negotiation.OCTETS}; transfer-syntax={EXPLICIT_VR_LE}")
        return Response(
            b"".join([head, content, writer.after, writer.end()]),
            media_type=writer.content_type,
            headers=headers,
        )

    # -- pictures

    async def _rendered(self, request: Request, visit: Visit) -> Response:
        rendering = _rendering(request, negotiation.of_picture(request, PICTURES))
        return await self._picture(request, visit, rendering, await self._one(request, visit))

    async def _thumbnail(self, request: Request, visit: Visit) -> Response:
        rendering = _rendering(request, negotiation.of_picture(request, PICTURES))
        if not rendering.columns:
            rendering = Rendering(
                media_type=rendering.media_type, columns=THUMBNAIL_SIDE, rows=THUMBNAIL_SIDE, quality=80
            )
        if "instance" in request.path_params:
            verified = await self._one(request, visit)
        else:
            wanted = await self._planned(request)
            middle = wanted[len(wanted) // 2]
            verified = await self._checked(visit, middle)
        return await self._picture(request, visit, rendering, verified)

    async def _picture(
        self, request: Request, _visit: Visit, rendering: Rendering, verified: VerifiedObject
    ) -> Response:
        numbers = frames_of(request.path_params.get("frames", "1"))
        if len(numbers) != 1:
            raise BadRequest("one frame at a time", hint="Ask for each picture.")
        if not verified.presentation.frames:
            raise NotFound("the object has no picture", hint="Ask for the object itself.")
        if numbers[0] > len(verified.presentation.frames):
            raise NotFound("the object has no such frame", hint="Number of Frames says how many there are.")
        headers = HEADERS | verdicts.header([verified]) | _tag(f"{numbers} {rendering}", [verified])
        if _is_known(request, headers):
            return Response(status_code=304, headers=headers)
        picture = await self._made(verified, numbers[0], rendering)
        return Response(picture, media_type=rendering.media_type, headers=headers)

    # -- what all share

    async def _planned(self, request: Request) -> list[Wanted]:
        """Raises NotFound, Gone, GatewayError."""
        uids = uids_of(request)
        planned = await asyncio.get_running_loop().run_in_executor(
            self._threads,
            partial(self._objects.planned, uids["study"], uids.get("series"), uids.get("instance")),
        )
        if planned:
            return planned
        if "instance" in uids:
            kept = self._objects.kept(uids["study"], uids["series"], uids["instance"])
            if kept is not None:
                self._objects.forget(kept)
                raise Gone("the archive has it no more")
        raise NotFound("the archive lists nothing of this name", hint="Search for it first.")

    async def _outcomes(self, wanted: Sequence[Wanted]) -> list[Outcome]:
        """In the same order. Raises PeerError when nothing came because the archive can't be reached."""
        futures = [asyncio.wrap_future(future) for future in self._objects.load(wanted)]
        results = await asyncio.gather(*futures, return_exceptions=True)
        outcomes: list[Outcome] = []
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, GatewayError):
                raise result
            outcomes.append(result)
        if outcomes and all(isinstance(outcome, PeerError) for outcome in outcomes):
            assert isinstance(outcomes[0], PeerError)
            raise outcomes[0]
        return outcomes

    async def _one(self, request: Request, visit: Visit) -> VerifiedObject:
        """The object that the address names. Raises Withheld, NotFound, Gone, GatewayError."""
        uids = uids_of(request)
        kept = self._objects.kept(uids["study"], uids["series"], uids["instance"])
        if kept is None:
            return await self._checked(visit, (await self._planned(request))[0])
        try:
            return await self._checked(visit, kept.wanted)
        except NotSent as error:
            self._objects.forget(kept)
            raise Gone("the archive has it no more") from error

    async def _checked(self, visit: Visit, wanted: Wanted) -> VerifiedObject:
        """Raises Withheld, GatewayError."""
        (outcome,) = await self._outcomes([wanted])
        await self._disclose(visit, [wanted], [outcome], service="wado-rs")
        if not _is_handed_out(outcome):
            raise _refusal(outcome)
        assert isinstance(outcome, VerifiedObject)
        return outcome

    async def _disclose(
        self, visit: Visit, wanted: Sequence[Wanted], outcomes: Sequence[Outcome], *, service: str
    ) -> None:
        """Write down who gets what, before it goes out. Raises AuditFailed."""
        await run_in_threadpool(self._note, visit, wanted, outcomes, service)

    def _note(
        self, visit: Visit, wanted: Sequence[Wanted], outcomes: Sequence[Outcome], service: str
    ) -> None:
        for study in dict.fromkeys(each.study for each in wanted):
            self._disclosures.note(visit, study, action="retrieve", outcome="allowed", reason=service)
        for each, outcome in zip(wanted, outcomes, strict=True):
            if isinstance(outcome, GatewayError) or outcome.returned.treatment == "deliver":
                continue
            returned = outcome.returned
            self._disclosures.note(
                visit,
                each.sop_instance,
                action="security-alert",
                outcome="marked" if returned.treatment == "mark" else "withheld",
                reason=returned.reason,
            )


def _is_handed_out(outcome: Outcome) -> bool:
    return not isinstance(outcome, GatewayError) and outcome.returned.treatment != "withhold"


def _refusal(outcome: Outcome) -> GatewayError:
    if isinstance(outcome, GatewayError):
        return outcome
    return Withheld("the object is withheld", headers=verdicts.header([outcome]))


def _cut(verified: VerifiedObject, number: int) -> bytes:
    with verified.opened(frames=True) as data:
        return b"".join(data[start:stop] for start, stop in verified.presentation.frames[number - 1])


def _range(verified: VerifiedObject, where: tuple[int, int]) -> bytes:
    with verified.opened() as data:
        return data[where[0] : where[1]]


async def _in_pieces(data: ByteSource) -> AsyncIterator[bytes]:
    each = iter(pieces(data))
    while (piece := await run_in_threadpool(next, each, None)) is not None:
        yield piece


async def _begun(content: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same, once its first bytes are there: what goes wrong until then becomes a status. Raises GatewayError."""
    first = await anext(content, b"")

    async def whole() -> AsyncIterator[bytes]:
        yield first
        async for piece in content:
            yield piece

    return whole()


async def _done(future: Future[T]) -> T:
    """What a worker process makes. Raises GatewayError; ResourceError when the workers were replaced meanwhile."""
    try:
        return await asyncio.wrap_future(future)
    except asyncio.CancelledError:
        if future.cancelled() and not _is_cancelled():
            raise ResourceError("the gateway stops, or was reloaded", hint="Ask again.") from None
        raise


def _is_cancelled() -> bool:
    """Whether the request itself was given up."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def _in_scratch(data_dir: Path, submit: Callable[[SecretFile], Future[ConvertedFile]]) -> bytes:
    with handed_over(data_dir, b"") as scratch:
        target = scratch.beside("made")
        await _done(submit(target))
        return await run_in_threadpool(target.read)


async def _json_array(each: Sequence[Callable[[], bytes]], zipped: bool) -> AsyncIterator[bytes]:
    """A JSON array, some of it at a time."""
    engine = zlib.compressobj(1, zlib.DEFLATED, 31) if zipped else None

    def piece(start: int) -> bytes:
        text = b",".join(make() for make in each[start : start + WINDOW])
        text = (b"," if start else b"[") + text
        if start + WINDOW >= len(each):
            text += b"]"
        if engine is None:
            return text
        return engine.compress(text) + (engine.flush() if start + WINDOW >= len(each) else b"")

    for start in range(0, len(each), WINDOW):
        yield await run_in_threadpool(piece, start)


def _tag(representation: str, outcomes: Sequence[Outcome]) -> dict[str, str]:
    """ETag: of what is sent, and of what is said of it. None where something did not come."""
    digest = hashlib.sha256(representation.encode())
    for outcome in outcomes:
        if isinstance(outcome, GatewayError):
            return {}
        digest.update(f"{outcome.wanted.sop_instance} {outcome.etag}".encode())
    return {"ETag": f'"{digest.hexdigest()[:32]}"'}


def _is_known(request: Request, headers: dict[str, str]) -> bool:
    tags = [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]
    return "ETag" in headers and (headers["ETag"] in tags or tags == ["*"])


def _location(verified: VerifiedObject) -> str:
    wanted = verified.wanted
    return f"{ROOT}/studies/{wanted.study}/series/{wanted.series}/instances/{wanted.sop_instance}"


def _is_tag(text: str) -> bool:
    return len(text) == 8 and all(character in "0123456789abcdefABCDEF" for character in text)


def _rendering(request: Request, media_type: str) -> Rendering:
    """PS3.18 8.3.5. Raises BadRequest."""
    query = request.query_params
    window, columns, rows, region = None, 0, 0, None
    if "window" in query:
        parts = query["window"].split(",")
        function = parts[2].lower() if len(parts) > 2 else "linear"
        if len(parts) not in (2, 3) or function not in ("linear", "linear-exact", "sigmoid"):
            raise _wrong("window")
        center, width = _number(parts[0], "window"), _number(parts[1], "window")
        if width < (1 if function == "linear" else 1e-9):
            raise _wrong("window")
        window = Window(center=center, width=width, function=function)  # type: ignore[arg-type]
    if "viewport" in query:
        parts = query["viewport"].split(",")
        if len(parts) not in (2, 6):
            raise _wrong("viewport")
        columns, rows = (int(_number(part, "viewport")) for part in parts[:2])
        if not (0 < columns <= SIDE_MAX and 0 < rows <= SIDE_MAX):
            raise _wrong("viewport")
        if len(parts) == 6:
            left, top, width_, height = (int(_number(part, "viewport")) for part in parts[2:])
            if left < 0 or top < 0 or width_ < 1 or height < 1:
                raise _wrong("viewport")
            region = (left, top, width_, height)
    quality = int(_number(query.get("quality", "90"), "quality"))
    if not 1 <= quality <= 100:
        raise _wrong("quality")
    return Rendering(
        media_type=media_type, window=window, columns=columns, rows=rows, region=region, quality=quality
    )


def _number(text: str, name: str) -> float:
    try:
        value = float(text)
    except ValueError as error:
        raise _wrong(name) from error
    if not -1e9 < value < 1e9:
        raise _wrong(name)
    return value


def _wrong(name: str) -> BadRequest:
    return BadRequest(f"the parameter {name} is wrong", hint="See PS3.18 8.3.5.")
