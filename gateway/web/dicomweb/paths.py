"""What an address names."""

from __future__ import annotations

from starlette.requests import Request

from gateway.dimse.negotiation import plausible
from gateway.web.errors import BadRequest

# Of one request.
FRAMES_MAX = 10_000


def uids_of(request: Request) -> dict[str, str]:
    """`study`, `series`, `instance`, as far as the address has them. Raises BadRequest."""
    named: dict[str, str] = {
        key: request.path_params[key] for key in ("study", "series", "instance") if key in request.path_params
    }
    if not all(map(plausible, named.values())):
        raise BadRequest("the address has something that is no UID", hint="See PS3.5 9.1.")
    return named


def frames_of(text: str) -> list[int]:
    """The numbers of a frame list, from 1 (PS3.18 10.4.1.1.6). Raises BadRequest."""
    numbers = text.split(",")
    if len(numbers) > FRAMES_MAX or not all(
        number.isascii() and number.isdigit() and len(number) <= 9 and int(number) > 0 for number in numbers
    ):
        raise BadRequest("frames are numbers from 1, with commas between them", hint="See PS3.18 10.4.1.1.6.")
    return [int(number) for number in numbers]
