"""One SQLite file, its schema brought up to date.

It is used with a write-ahead log and full syncs, so that what was committed survives a power cut
(https://www.sqlite.org/pragma.html#pragma_synchronous).
"""

from __future__ import annotations

import re
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

from gateway.errors import ResourceError

# In data_dir.
FILE_NAME = "queue.sqlite"
# The file and those that SQLite puts beside it.
FILE_NAMES = tuple(FILE_NAME + suffix for suffix in ("", "-wal", "-shm", "-journal"))
# Of the schema; one more with each section of migrations.sql.
VERSION = 7
# Another process (sealgate queue) may be writing. A modality waits for us meanwhile.
BUSY_TIMEOUT_S = 10.0
_NAME = re.compile(r"^-- (\w+) --$", re.MULTILINE)
# Stands for each row changed by a statement that returns none, so that len() counts them.
_COUNT: Any = None


def statements(text: str) -> dict[str, str]:
    """The statements of an SQL file by name: each stands below a heading `-- name --`."""
    parts = _NAME.split(text)
    return dict(zip(parts[1::2], (part.strip() for part in parts[2::2]), strict=True))


def _text(name: str) -> str:
    return files("gateway.queue.sqlite").joinpath(name).read_text(encoding="utf-8")


def _bring_up_to_date(connection: sqlite3.Connection, path: Path) -> None:
    """Make the tables in a new file, or migrate those of an older version, in one transaction.

    Raises ResourceError when a newer version made the file.
    Raises sqlite3.Error.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version == VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        # It is read once more, because another process may have migrated the file meanwhile.
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > VERSION:
            raise ResourceError(
                f"{path}: made by a newer version of the gateway (schema {version}, known {VERSION})",
                hint="Install that version again, or take another data_dir.",
            )
        known = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'instance'").fetchone()
        sections = statements(_text("migrations.sql"))
        wanted = [sections[f"to_{number}"] for number in range(version + 1, VERSION + 1)] if known else []
        for statement in _split("\n".join(wanted) if known else _text("schema.sql")):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {VERSION}")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _split(script: str) -> Iterator[str]:
    """The statements of a script, to be executed inside a transaction: executescript would commit."""
    pending = ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            yield pending
            pending = ""


class Database:
    """One connection with its lock, the named statements and the clock. For several threads."""

    def __init__(self, path: Path, clock: Callable[[], float], *, migrate: bool = True) -> None:
        """path: the file; it is made where there is none.
        clock: gives the time, Unix seconds.
        migrate: bring the schema of an older version up to date.

        Raises ResourceError when the file can't be opened or is not a queue.
        """
        self.path = path
        self._sql = statements(_text("queries.sql"))
        self._lock = threading.Lock()
        self.clock = clock
        try:
            self._connection = sqlite3.connect(
                path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
            )
            self._connection.row_factory = sqlite3.Row
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.execute("PRAGMA foreign_keys = ON")
            if migrate:
                _bring_up_to_date(self._connection, path)
        except sqlite3.Error as error:
            raise ResourceError(
                f"{path}: {error}", hint="Check the disk and the rights of data_dir."
            ) from error

    @contextmanager
    def transaction(self) -> Iterator[Callable[..., list[sqlite3.Row]]]:
        """A transaction: committed and synced when the block ends, rolled back when the block raises.

        Yields `run(name, **values)`, which runs a named statement.
        Raises ResourceError for what SQLite reports (disk full, I/O error, locked).
        """
        with self._alone():
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                try:
                    yield self._run
                except BaseException:
                    self._connection.execute("ROLLBACK")
                    raise
                self._connection.execute("COMMIT")
            except sqlite3.Error as error:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise ResourceError(f"queue: {error}", hint="Check the disk of data_dir.") from error

    def read(self, name: str, **values: Any) -> list[sqlite3.Row]:
        """The rows of a named statement that changes nothing. Raises ResourceError."""
        with self._alone():
            try:
                return self._run(name, **values)
            except sqlite3.Error as error:
                raise ResourceError(f"queue: {error}", hint="Check the disk of data_dir.") from error

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """No other thread uses the connection within the block.

        Raises ResourceError when others keep it for too long: waits must not add up.
        """
        if not self._lock.acquire(timeout=BUSY_TIMEOUT_S):
            raise ResourceError("queue: busy for too long", hint="Is another program using the database?")
        try:
            yield
        finally:
            self._lock.release()

    def touch(self) -> None:
        """Write a page with the content that it has already. Raises ResourceError when that fails."""
        with self.transaction():
            self._connection.execute(f"PRAGMA user_version = {VERSION}")

    def _run(self, name: str, **values: Any) -> list[sqlite3.Row]:
        cursor = self._connection.execute(self._sql[name], values)
        rows = cursor.fetchall()
        return rows if rows or cursor.rowcount <= 0 else [_COUNT] * cursor.rowcount

    def close(self) -> None:
        with self._lock:
            self._connection.close()
