"""The base of all tables of the configuration file, and the kinds of their values."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo


class Table(BaseModel):
    """Unknown keys are errors. A loaded table never changes."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


def _ae_title(value: str) -> str:
    """PS3.5 6.2, AE: 1 to 16 printable characters, no backslash, not only spaces."""
    title = value.strip(" ")
    if not title or len(title) > 16 or "\\" in title or not (title.isascii() and title.isprintable()):
        raise ValueError("an AE title has 1 to 16 ASCII characters and no backslash")
    return title


def _against_file(value: Path, info: ValidationInfo) -> Path:
    """A relative path is relative to the folder of the configuration file."""
    folder: Path = (info.context or {}).get("folder", Path())
    return (folder / value.expanduser()).absolute()


def one_or_many(value: object) -> object:
    """For validators of lists: a single text stands for a list of one."""
    return (value,) if isinstance(value, str) else value


AETitle = Annotated[str, AfterValidator(_ae_title)]
FilePath = Annotated[Path, AfterValidator(_against_file)]
Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(ge=0.01, le=7 * 86400)]
