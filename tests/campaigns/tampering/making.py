"""Rows of the table for changes of header elements."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.filereader import dcmread

from tests.campaigns.tampering.change import ALTERED, Change, Scene, Way
from tests.campaigns.tampering.subjects import Applies, both, has, image
from tests.campaigns.tampering.tools import Edit, dcmodify, differs, with_orthanc, with_pydicom

Value = str | Callable[[Dataset], str]


def _value(scene: Scene, value: Value) -> str:
    return value if isinstance(value, str) else value(dcmread(scene.source, stop_before_pixels=True))


def _is_news(keyword: str, value: Value) -> Applies:
    """Whether the element does not have that value yet."""
    return lambda dataset: not isinstance(value, str) or _text(dataset, keyword) != value


def _text(dataset: Dataset, keyword: str) -> str:
    found = dataset.get(keyword)
    if found is None:
        return ""
    return (
        "\\".join(map(str, found))
        if not isinstance(found, str) and hasattr(found, "__iter__")
        else str(found)
    )


def element(
    name: str,
    group: str,
    person: str,
    keyword: str,
    value: Value,
    *,
    expected: tuple[str, ...] = ALTERED,
    applies: Applies | None = None,
    names: tuple[str, ...] = (),
) -> Change:
    """An element that is there gets another value. `applies` is asked in addition; `names` may be named as well."""
    return Change(
        name=name,
        group=group,
        person=person,
        tool="dcmodify",
        applies=both(has(keyword), _is_news(keyword, value), *([applies] if applies else [])),
        apply=lambda scene, target: dcmodify(scene, target, "-m", f"{keyword}={_value(scene, value)}"),
        proof=differs(keyword),
        expected=expected,
        names=(keyword, *names),
    )


def inserted(
    name: str,
    group: str,
    person: str,
    keyword: str,
    value: Value,
    *,
    expected: tuple[str, ...] = ALTERED,
    applies: Applies = image,
) -> Change:
    """An element is added, or gets another value."""
    return Change(
        name=name,
        group=group,
        person=person,
        tool="dcmodify",
        applies=both(applies, _is_news(keyword, value)),
        apply=lambda scene, target: dcmodify(scene, target, "-i", f"{keyword}={_value(scene, value)}"),
        proof=differs(keyword),
        expected=expected,
        names=(keyword,),
    )


def nested(
    name: str,
    group: str,
    person: str,
    path: str,
    top: str,
    value: str,
    *,
    expected: tuple[str, ...] = ALTERED,
    applies: Applies,
) -> Change:
    """An element within a sequence; `path` as dcmodify takes it. Named is the sequence or the element."""
    inner = path.rsplit(".", 1)[-1]
    return Change(
        name=name,
        group=group,
        person=person,
        tool="dcmodify",
        applies=both(has(top), applies),
        apply=lambda scene, target: dcmodify(scene, target, "-i", f"{path}={value}"),
        proof=differs(top),
        expected=expected,
        names=(top, inner),
    )


def removed(
    name: str, group: str, person: str, keyword: str, *, expected: tuple[str, ...] = ALTERED
) -> Change:
    """An element is taken out."""
    return Change(
        name=name,
        group=group,
        person=person,
        tool="dcmodify",
        applies=has(keyword),
        apply=lambda scene, target: dcmodify(scene, target, "-ea", keyword),
        proof=differs(keyword),
        expected=expected,
        names=(keyword,),
    )


def edited(
    name: str,
    group: str,
    person: str,
    edit: Edit,
    *names: str,
    applies: Applies,
    expected: tuple[str, ...] = ALTERED,
    proof: Callable[[Path, Path], bool] | None = None,
) -> Change:
    """A few lines of pydicom. The first name is the element that dcmdump must show changed."""
    return Change(
        name=name,
        group=group,
        person=person,
        tool="pydicom",
        applies=applies,
        apply=lambda scene, target: with_pydicom(scene, target, edit),
        proof=proof or differs(names[0]),
        expected=expected,
        names=names,
    )


def by_archive(
    name: str,
    group: str,
    person: str,
    replace: dict[str, str],
    *,
    expected: tuple[str, ...],
    applies: Applies,
) -> Change:
    """The archive's own modification: its checksums are counted anew."""
    return Change(
        name=name,
        group=group,
        person=person,
        tool="Orthanc /modify",
        applies=applies,
        apply=lambda scene, target: with_orthanc(scene, target, replace=replace),
        proof=differs(*replace),
        expected=expected,
        names=tuple(replace),
        way=Way.ARCHIVE,
    )
