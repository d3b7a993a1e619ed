"""Which route takes an object."""

from __future__ import annotations

from collections.abc import Callable

from pydicom.datadict import tag_for_keyword

from gateway.config import Config, Route
from gateway.dicom import part10
from gateway.dicom.lazy_bytes import ByteSource
from gateway.errors import UnreadableObject


def choose(
    config: Config,
    called: str,
    calling: str,
    sop_class: str,
    look_up: Callable[[set[str]], dict[str, str]],
) -> Route | None:
    """The first route of the configuration that takes the object, or None.

    called, calling: AE titles of the association.
    sop_class: SOP Class UID of the object.
    look_up: gives the texts of the elements with these keywords. It is asked at most once, and only when a route has
        a condition on elements, or when the configuration refuses unreadable objects.

    Raises UnreadableObject when `look_up` does and the configuration refuses unreadable objects.
    """
    candidates = [route for route in config.route if route.admits(called, calling)]
    refuse = config.listener.unreadable == "refuse"
    header: dict[str, str] = {}
    if refuse or any(route.needs_header for route in candidates):
        keywords = {"Modality", *(keyword for route in candidates for keyword in route.where)}
        try:
            header = look_up(keywords)
        except UnreadableObject:
            if refuse:
                raise
    return next((route for route in candidates if route.matches(called, calling, sop_class, header)), None)


def texts(file: ByteSource, keywords: set[str]) -> dict[str, str]:
    """The texts of the top-level elements with these keywords, empty when an element is absent.

    Raises UnreadableObject.
    """
    index = part10.read(file)
    return {keyword: index.text(tag_for_keyword(keyword) or 0) for keyword in keywords}
