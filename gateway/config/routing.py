"""The `[[route]]` tables: which objects go where, and what is done with them on the way."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Literal

from pydantic import Field, field_validator
from pydicom.datadict import tag_for_keyword

from gateway.config.values import AETitle, Table, one_or_many


class Route(Table):
    """What is done with the objects that match. The first matching route of the file is taken.

    Conditions are shell patterns (`*`, `?`), compared case-sensitively. One of the patterns of a condition must match;
    a condition without patterns always matches.
    """

    called: AETitle
    # release: verified, restored and searched for what sealing left, for exports. pass: forwarded untouched.
    action: Literal["seal", "verify", "restore", "release", "pass"]
    # Names of destinations.
    to: tuple[str, ...] = Field(min_length=1)
    calling: tuple[str, ...] = ()
    modality: tuple[str, ...] = ()
    sop_class: tuple[str, ...] = ()
    # DICOM keyword of a top-level element -> pattern; all of them must match.
    where: dict[str, str] = Field(default_factory=dict)
    # Within each step and destination, urgent goes first.
    priority: Literal["urgent", "normal", "low"] = "normal"
    # What is done with an object that fails verification.
    on_failure: Literal["quarantine", "mark"] = "quarantine"
    # What is done with an object that can't be sealed; None: as in [seal].
    impossible: Literal["hold", "forward-marked"] | None = None

    _many_patterns = field_validator("calling", "modality", "sop_class", mode="before")(one_or_many)

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
        """Two routes with the same key do the same with the same object."""
        return f"{self.called}/{self.action}/{','.join(self.to)}"

    def admits(self, called: str, calling: str) -> bool:
        """Whether the AE titles of an association match."""
        return called == self.called and _any(self.calling, calling)

    def matches(self, called: str, calling: str, sop_class: str, header: Mapping[str, str]) -> bool:
        """Whether an object matches.

        header: keyword -> text of the elements that the conditions name; empty text for an element that is absent.
        """
        return (
            self.admits(called, calling)
            and _any(self.sop_class, sop_class)
            and _any(self.modality, header.get("Modality", ""))
            and all(fnmatchcase(header.get(keyword, ""), pattern) for keyword, pattern in self.where.items())
        )


def _any(patterns: tuple[str, ...], value: str) -> bool:
    return not patterns or any(fnmatchcase(value, pattern) for pattern in patterns)
