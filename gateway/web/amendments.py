"""What a caller sends to amend an object: a file amendment.json and the object, in one multipart body."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, ValidationError

from gateway.web.errors import BadRequest


class AmendmentRequest(BaseModel):
    """The file amendment.json.

    set: keyword -> the new value.
    reason: why.
    """

    model_config = ConfigDict(extra="forbid")

    set: dict[str, str]
    reason: str


def amendment_and_object(parts: list[tuple[str, bytes]]) -> tuple[AmendmentRequest, bytes]:
    """parts: name and content of each file.

    Raises BadRequest when they are not one amendment and one object.
    """
    amendments = [content for name, content in parts if name.endswith(".json")]
    objects = [content for name, content in parts if not name.endswith(".json")]
    if len(amendments) != 1 or len(objects) != 1:
        raise _no_amendment()
    try:
        return AmendmentRequest.model_validate_json(amendments[0]), objects[0]
    except ValidationError as error:
        raise _no_amendment() from error


def _no_amendment() -> BadRequest:
    return BadRequest(
        "not an amendment and an object",
        hint="Send multipart/form-data with the object and a file amendment.json: "
        '{"set": {KEYWORD: VALUE}, "reason": TEXT}.',
    )
