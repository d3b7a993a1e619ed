"""What all tables of the configuration file are made of: their base and the kinds of their values."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo


def _ae_title(value: str) -> str:
    """PS3.5 6.2, AE: 1 to 16 printable characters, no backslash, not only spaces."""
    title = value.strip(" ")
    if not title or len(title) > 16 or "\\" in title or not (title.isascii() and title.isprintable()):
        raise ValueError("an AE title has 1 to 16 ASCII characters and no backslash")
    return title


def _against_file(value: Path, info: ValidationInfo) -> Path:
    folder: Path = (info.context or {}).get("folder", Path())
    return (folder / value.expanduser()).absolute()


AETitle = Annotated[str, AfterValidator(_ae_title)]
FilePath = Annotated[Path, AfterValidator(_against_file)]
Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(ge=0.01, le=7 * 86400)]


class Table(BaseModel):
    """Unknown keys are errors; a loaded table never changes."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)
