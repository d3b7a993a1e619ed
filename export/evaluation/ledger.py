"""Tables on disk. Rows are written one by one, so that an interrupted run goes on where it stopped."""

from __future__ import annotations

import csv
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Generic, TypeVar

Row = TypeVar("Row")


class Ledger(Generic[Row]):
    """A table on disk.

    path: the CSV file; it is made when there is none.
    kind: dataclass of the rows.
    key: how many of the first fields tell one row from another.
    """

    def __init__(self, path: Path, kind: type[Row], *, key: int) -> None:
        self._path, self._kind = path, kind
        self._names = [field.name for field in fields(kind)]  # type: ignore[arg-type]
        self._key = self._names[:key]
        self._rows: dict[tuple[str, ...], Row] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            for row in read(path, kind):
                self._rows[self._key_of(row)] = row
        else:
            write(path, kind, [])

    def _key_of(self, row: Row) -> tuple[str, ...]:
        return tuple(str(getattr(row, name)) for name in self._key)

    def __contains__(self, key: tuple[object, ...]) -> bool:
        return tuple(map(str, key)) in self._rows

    def add(self, row: Row) -> None:
        """Keep the row, in the file, too."""
        self._rows[self._key_of(row)] = row
        with self._path.open("a", newline="") as file:
            csv.DictWriter(file, self._names, lineterminator="\n").writerow(asdict(row))  # type: ignore[call-overload]

    def rows(self) -> list[Row]:
        return list(self._rows.values())


def read(path: Path, kind: type[Row]) -> list[Row]:
    """Read a table.

    kind: dataclass of the rows. A field that looks like a number or a bool becomes one; an empty field becomes None.
    """
    with path.open(newline="") as file:
        return [kind(**{name: _value(text) for name, text in row.items()}) for row in csv.DictReader(file)]


def write(path: Path, kind: type[Any], rows: list[Any]) -> None:
    """Write a whole table; `kind` is the dataclass of the rows."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(kind)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)


def _value(text: str) -> Any:
    if text in ("", "None"):
        return None
    if text in ("True", "False"):
        return text == "True"
    try:
        return int(text)
    except ValueError:
        try:
            return float(text)
        except ValueError:
            return text
