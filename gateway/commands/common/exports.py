"""Where objects may leave the house for research: what `sealgate check` says about it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gateway.config import Config, Destination

# Parts of names that tell of a node for research, teaching or exports, in lower case.
PARTS = (
    "anon", "cohort", "deid", "export", "forsch", "kaapana", "pseud", "recherche", "registry", "research",
    "study", "teach", "trial", "xnat",
)  # fmt: skip
# The same, too short to be looked for within a word.
WORDS = frozenset({"ctp", "edu", "sci"})
# Actions after which an object still carries its seal, and its record.
SEALED = frozenset({"seal", "verify", "pass"})


def cautions(settings: Config) -> list[str]:
    """Sentences about objects that may leave the house with their patient in the pixels, or in the header."""
    told = [
        f"{name}: looks like a node for research or exports, and may get sealed objects: anonymised there, they still "
        'carry their patient, encrypted, in the pixels; use a route with action = "release" (docs/operations.md, '
        "Before research exports)"
        for name in _research_nodes_that_get_sealed_objects(settings)
    ]
    releasing = [route for route in settings.route if route.action == "release"]
    for name in sorted({name for route in releasing for name in route.to}):
        told.append(
            f"{name}: gets originals that name their patients, by a route that releases: it must be the node that "
            "de-identifies them"
        )
    if releasing and settings.release.command:
        told.append("release.command: is run by `sealgate release` only, not by a route that releases")
    if settings.release.unsealed == "release":
        told.append(
            'release.unsealed = "release": objects whose seal was removed altogether are released, too'
        )
    if settings.release.undecodable == "release":
        told.append('release.undecodable = "release": nobody looks whether their pixels carry a record')
    return told


def looks_like_research(destination: Destination) -> bool:
    """Whether its name or AE title tells of research, teaching or exports."""
    for name in (destination.name.lower(), destination.ae_title.lower()):
        if any(part in name for part in PARTS) or WORDS & set(re.split(r"[^a-z]+", name)):
            return True
    return False


def _research_nodes_that_get_sealed_objects(settings: Config) -> Iterator[str]:
    """Names of destinations, those that stand in for another one included."""
    getting = {name for route in settings.route if route.action in SEALED for name in route.to}
    by_name = {destination.name: destination for destination in settings.destination}
    waiting = sorted(getting)
    while waiting:
        stand_in = by_name[waiting.pop()].failover
        if stand_in is not None and stand_in not in getting:
            getting.add(stand_in)
            waiting.append(stand_in)
    return (name for name in sorted(getting) if looks_like_research(by_name[name]))
