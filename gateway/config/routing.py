"""The `[[route]]` tables: which objects go where, and what is done with them on the way."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Literal

from pydantic import (
    Field,
    field_validator,
)
from pydicom.datadict import tag_for_keyword

from gateway.config.values import (
    AETitle,
    Table,
)


class Route(Table):
    """Objects whose called AE title and conditions match; the first matching route of the file is taken.

    Conditions are shell patterns (`*`, `?`), compared case-sensitively. `where` maps DICOM keywords of
    top-level elements to patterns.
    """

    called: AETitle
    action: Literal["seal", "verify", "restore", "pass"]  # pass: forwarded untouched, the way around
    to: tuple[str, ...] = Field(min_length=1)
    calling: tuple[str, ...] = ()
    modality: tuple[str, ...] = ()
    sop_class: tuple[str, ...] = ()
    where: dict[str, str] = Field(default_factory=dict)
    priority: Literal["urgent", "normal", "low"] = (
        "normal"  # within each step and destination, urgent goes first
    )
    on_failure: Literal["quarantine", "mark"] = "quarantine"  # of verification
    impossible: Literal["hold", "forward-marked"] | None = None  # None: as in [seal]

    @field_validator("calling", "modality", "sop_class", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @field_validator("where")
    @classmethod
    def _known_keywords(cls, value: dict[str, str]) -> dict[str, str]:
        for keyword in value:
            if tag_for_keyword(keyword) is None:
                raise ValueError(f"{keyword} is not a DICOM keyword")
        return value

    @property
    def needs_header(self) -> bool:
        """Whether the data set must be parsed to decide."""
        return bool(self.modality or self.where)

    @property
    def key(self) -> str:
        """What makes two routes do the same with the same object."""
        return f"{self.called}/{self.action}/{','.join(self.to)}"

    def admits(self, called: str, calling: str) -> bool:
        return called == self.called and _any(self.calling, calling)

    def matches(self, called: str, calling: str, sop_class: str, header: Mapping[str, str]) -> bool:
        """header: keyword -> text of the elements that conditions name (empty text when absent)."""
        return (
            self.admits(called, calling)
            and _any(self.sop_class, sop_class)
            and _any(self.modality, header.get("Modality", ""))
            and all(fnmatchcase(header.get(keyword, ""), pattern) for keyword, pattern in self.where.items())
        )


def _any(patterns: tuple[str, ...], value: str) -> bool:
    return not patterns or any(fnmatchcase(value, pattern) for pattern in patterns)
