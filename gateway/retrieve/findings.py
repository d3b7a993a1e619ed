"""What a person is told about objects that are not what was sealed: words for the report, no values of the object."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.retrieve.plan import Wanted

# Verdict, or reason -> what happened, in plain words.
WORDS = {
    "tampered": "the image or its seal was changed after it was sealed",
    "misidentified": "it names another patient or another examination than the one that was sealed",
    "another-object": "another object lies in the archive in its place",
    "unknown-signer": "it carries a seal of somebody who is not trusted here",
    "altered": "how the image is shown or measured, or where it comes from, was changed",
    "lossy": "the pixels were compressed with loss or filtered; they can't be proven any more",
    "stripped": "its proof was removed; nobody can say whether it was changed",
    "unsealed": "it carries no seal; nobody can say whether it was changed",
    "unreadable": "it can't be read",
    "not-sent": "the archive lists it, but did not send it",
}
NOT_VERIFIED = "it could not be verified"
NOT_RESTORED = "it is whole, but the original could not be restored; traces of sealing are left in it"


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
        if self.reason.startswith("not-restored-"):
            return NOT_RESTORED
        text = WORDS.get(self.reason, f"{NOT_VERIFIED} ({self.reason})")
        if self.keywords:
            text += f" (changed: {', '.join(self.keywords)})"
        if self.tiles:
            text += f" ({self.tiles} {'part' if self.tiles == 1 else 'parts'} of the pixels changed)"
        return text


def _shown(number: str) -> str:
    """A number as the archive gives it; what is none may be anything, and is not printed."""
    return number if number.lstrip("+-").isdigit() and len(number) <= 12 else "?"
