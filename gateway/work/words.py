"""What became of an object, in words that a person who looks at images understands. No values of the object."""

from __future__ import annotations

from collections.abc import Sequence

# Verdict, or reason -> what happened, in plain words.
WORDS = {
    "intact": "it is what was sealed",
    "transcoded": "it is what was sealed, encoded anew without loss",
    "amended": "it is what was sealed, with corrections that were signed",
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


def words_of(reason: str, *, tiles: int = 0, keywords: Sequence[str] = ()) -> str:
    """reason: a verdict, or a code word.

    tiles: how many tiles of the pixels changed.
    keywords: of the elements that differ.
    """
    if reason.startswith("not-restored-"):
        return NOT_RESTORED
    text = WORDS.get(reason, f"{NOT_VERIFIED} ({reason})")
    if keywords:
        text += f" (changed: {', '.join(keywords)})"
    if tiles:
        text += f" ({tiles} {'part' if tiles == 1 else 'parts'} of the pixels changed)"
    return text
