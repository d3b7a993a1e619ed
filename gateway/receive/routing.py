"""Which route takes an object."""

from __future__ import annotations

from collections.abc import Callable

from pydicom.datadict import tag_for_keyword

from gateway.config import Config, Route
from gateway.dicom.tags import MODALITY
from gateway.errors import UnreadableObject


def tags_asked_for(config: Config, called: str, calling: str) -> set[int]:
    """The elements that the routes for these AE titles have conditions on."""
    return {
        tag
        for route in _candidates(config, called, calling)
        if route.needs_header
        for tag in (MODALITY, *map(_tag, route.where))
    }


def choose(
    config: Config, called: str, calling: str, sop_class: str, text_of: Callable[[int], str]
) -> Route | None:
    """The first route of the configuration that takes the object, or None.

    called, calling: AE titles of the association.
    sop_class: SOP Class UID of the object.
    text_of: gives the text of an element, empty when it is absent. It is asked only when a route has a condition on
        elements. Where it raises UnreadableObject, such a route takes what it would take without any element.

    Raises HeaderTooLarge when `text_of` does: it is not known which route is the first.
    """
    for route in _candidates(config, called, calling):
        header: dict[str, str] = {}
        if route.needs_header:
            try:
                header = {keyword: text_of(_tag(keyword)) for keyword in ("Modality", *route.where)}
            except UnreadableObject:
                header = {}
        if route.matches(called, calling, sop_class, header):
            return route
    return None


def _candidates(config: Config, called: str, calling: str) -> list[Route]:
    return [route for route in config.route if route.admits(called, calling)]


def _tag(keyword: str) -> int:
    """The configuration has checked the keyword."""
    return tag_for_keyword(keyword) or 0
