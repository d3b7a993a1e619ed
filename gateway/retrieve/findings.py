"""What a person is told about objects that are not what was sealed: words for the report, no values of the object."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.retrieve.plan import Wanted
from gateway.work.words import words_of


@dataclass(frozen=True, kw_only=True)
class ReturnFinding:
    """One object that was marked or withheld.

    treatment: "mark" or "withhold".
    reason: a verdict, or a code word.
    tiles: how many tiles of the pixels changed.
    keywords: of the elements that differ.
    """

    wanted: Wanted
    treatment: str
    reason: str
    tiles: int = 0
    keywords: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """Where a person finds it: series and image by their numbers, if they have some."""
        series, image = self.wanted.series_number.strip(), self.wanted.instance_number.strip()
        return f"Series {_shown(series)}, image {_shown(image)}"

    @property
    def words(self) -> str:
        """What is wrong with it."""
        return words_of(self.reason, tiles=self.tiles, keywords=self.keywords)


def _shown(number: str) -> str:
    """A number as the archive gives it; what is none may be anything, and is not printed."""
    return number if number.lstrip("+-").isdigit() and len(number) <= 12 else "?"
