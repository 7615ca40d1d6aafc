"""Opening an ASE database as a label store, and what its errors mean."""

from __future__ import annotations

import os
import re
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import ase.db

from gnnpot.errors import DataError, EngineError, OutputError, one_line
from gnnpot.labeling.store import claims

VERSION = 1
VERSION_NAME = "gnnpot labels"  # in ASE's table of information
LOCK = 7_237_118  # names our lock among those of a PostgreSQL server
INSTALL = "pip install ase-db-backends"


def is_server(place: str) -> bool:
    """Whether a store is on a PostgreSQL server, rather than in a file."""
    return place.startswith(("postgresql://", "postgres://"))


def connected(place: str) -> Any:
    """ASE's database at a path or URL; without its lock file, which a killed process would leave behind."""
    if is_server(place):
        return ase.db.connect(place, type="postgresql", use_lock_file=False)
    return ase.db.connect(place, type="db", use_lock_file=False)


def make_file(path: Path) -> None:
    """Make an SQLite store aside and move it to ``path``, unless one is there."""
    if path.exists():
        return
    if not path.parent.is_dir():
        raise OutputError(f"expected a folder at {path.parent}, got none; make it, or choose another --store")
    aside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        _fill(connected(str(aside)))
        with suppress(FileExistsError):  # another run was faster
            os.link(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def make_tables(url: str) -> None:
    """Make the tables of a store on a PostgreSQL server, unless they are there."""
    database = connected(url)
    guard = database._connect()  # holds the lock while ASE makes its tables on another connection
    try:
        guard.cursor().execute("SELECT pg_advisory_lock(?)", (LOCK,))
        with database:
            cursor = database.connection.cursor()
            cursor.execute("SELECT to_regclass(?)", ("information",))
            if cursor.fetchone()[0] is not None:
                return
        _fill(database)
    finally:
        guard.close()


def without_password(place: str) -> str:
    """The address of a store that may be shown."""
    return re.sub(r"(//[^:/@]*):[^@]*@", r"\1:***@", place)


@contextmanager
def explained(place: str) -> Iterator[None]:
    """Turn the errors of a database into ours.

    Raises:
        DataError: The file is not a database.
        EngineError: The driver of PostgreSQL is not installed.
        OutputError: The database cannot be opened or written to.
    """
    shown = without_password(place)
    try:
        yield
    except sqlite3.OperationalError as error:
        raise OutputError(
            f"expected to write the label store {shown}, got an error ({one_line(error)}); free space, mend "
            "its permissions, or choose another --store"
        ) from error
    except sqlite3.DatabaseError as error:
        raise DataError(
            f"expected a label store at {shown}, got something else ({one_line(error)}); choose another "
            "--store"
        ) from error
    except ImportError as error:
        raise EngineError(f"expected the driver of PostgreSQL, got none; install it: {INSTALL}") from error
    except _driver_errors() as error:
        raise OutputError(
            f"expected to reach the label store {shown}, got an error ({' '.join(str(error).split())}); "
            "check the address and the server"
        ) from error


def _driver_errors() -> tuple[type[Exception], ...]:
    """The errors of PostgreSQL's driver, if anything has loaded it."""
    driver = sys.modules.get("psycopg2")
    return () if driver is None else (driver.Error,)


def _fill(database: Any) -> None:
    with database, database.managed_connection() as connection:
        cursor = connection.cursor()
        cursor.execute("INSERT INTO information VALUES (?, ?)", (VERSION_NAME, str(VERSION)))
        claims.make(cursor)
