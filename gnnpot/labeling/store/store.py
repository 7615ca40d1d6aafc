"""Labels that were computed once and are kept: an ASE database with keys of structure and method.

``ase db labels.db`` shows it, :func:`gnnpot.data.reading.read_frames` reads it.  Several runs may write to
one store; each transaction is whole or not there, whenever a process is killed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.db.row import AtomsRow

from gnnpot.errors import DataError
from gnnpot.labeling.labeler import Failure
from gnnpot.labeling.methods import Method, Record
from gnnpot.labeling.store import ase_rows, claims
from gnnpot.labeling.store.database import (
    LOCK,
    VERSION,
    VERSION_NAME,
    connected,
    explained,
    is_server,
    make_file,
    make_tables,
)

_SEVERAL = 400  # keys in one query; SQLite takes 999


class LabelStore:
    """Labels and failures by key.

    Args:
        place: File of an SQLite database, made if it is not there; or ``postgresql://USER:PASSWORD@HOST/NAME``.

    Raises:
        DataError: The file is no label store, or one of a newer version.
        EngineError: The driver of PostgreSQL is not installed.
        OutputError: The store cannot be opened.
    """

    def __init__(self, place: str | Path) -> None:
        self._is_file = not is_server(str(place))
        self.place = str(Path(place).expanduser()) if self._is_file else str(place)
        self._owner = claims.owner()
        with explained(self.place):
            if self._is_file:
                make_file(Path(self.place))
            else:
                make_tables(self.place)
            self._database = connected(self.place)
            self._check()

    def states(self, keys: Iterable[str], *, since: int = 0) -> dict[str, bool]:
        """Whether there is a label (True) or a failure (False), for the keys that are in the store.

        Args:
            keys: Wanted.
            since: Earlier value of :attr:`last`; older failures are ignored.
        """
        found: dict[str, bool] = {}
        remaining = iter(keys)
        with self._transaction() as cursor:
            while several := tuple(islice(remaining, _SEVERAL)):
                cursor.execute(
                    "SELECT unique_id, energy IS NOT NULL FROM systems WHERE (energy IS NOT NULL OR id > ?) "
                    f"AND unique_id IN ({', '.join('?' * len(several))})",
                    (since, *several),
                )
                found |= {key: bool(has_label) for key, has_label in cursor.fetchall()}
        return found

    @property
    def last(self) -> int:
        """Number of the newest label or failure; later ones have larger numbers."""
        with self._transaction() as cursor:
            cursor.execute("SELECT MAX(id) FROM systems")
            return cursor.fetchone()[0] or 0

    def failures(self, keys: Iterable[str]) -> dict[str, Failure]:
        """The reasons of failures."""
        keys = list(keys)
        states = self.states(keys)
        found = {key: self._row(key) for key in keys if states.get(key) is False}
        return {key: Failure(row.get("failure"), row.data["reason"]) for key, row in found.items()}

    def labels(self, keys: Iterable[str]) -> Iterator[Atoms]:
        """The structures of ``keys`` with their labels, in this order."""
        remaining = iter(keys)
        while several := list(islice(remaining, _SEVERAL)):
            with self._transaction():
                found = [self._database.get(unique_id=key) for key in several]
            yield from map(_labeled, found)

    def results(self, keys: Iterable[str]) -> Iterator[dict[str, Any]]:
        """Energy (eV), forces (eV/Å), stress (eV/Å³, Voigt), … of the labels of ``keys``, in this order."""
        remaining = iter(keys)
        while several := list(islice(remaining, _SEVERAL)):
            with self._transaction():
                found = ase_rows.results(self._database, several)
            yield from found

    def keep(self, method: Method, records: Sequence[Record]) -> None:
        """Store labels and failures in one transaction; the latter give way to what is new.

        A key that another run has stored in the meantime stays as it is.

        Raises:
            OutputError: The store cannot be written to.
        """
        with self._transaction() as cursor:
            database = self._database
            cursor.execute("DELETE FROM information WHERE name = ?", (f"gnnpot method {method.hash}",))
            cursor.execute(
                "INSERT INTO information VALUES (?, ?)", (f"gnnpot method {method.hash}", method.identity)
            )
            there = self.states(record.key for record in records)
            failed = [self._row(key).id for key, has_label in there.items() if not has_label]
            if failed:
                database.delete(failed)
            new = [record for record in records if not there.get(record.key)]
            for start in range(0, len(new), _SEVERAL):
                ase_rows.insert(database, method, new[start : start + _SEVERAL])
            claims.release(cursor, [record.key for record in records])

    def claim(self, keys: Sequence[str], *, since: int = 0) -> list[str]:
        """Those of ``keys`` that this process may compute now: neither claimed by another nor stored.

        Args:
            keys: Wanted.
            since: Earlier value of :attr:`last`; older failures may be computed again.
        """
        with self._transaction() as cursor:
            claims.take(cursor, keys, self._owner)
            done = self.states(keys, since=since)
            claims.release(cursor, [key for key in keys if key in done])
            mine = claims.held(cursor, self._owner)
        return [key for key in keys if key in mine]

    def renew(self) -> None:
        """Tell other runs that this one lives; without it they take its claims over after a while."""
        with self._transaction() as cursor:
            claims.renew(cursor, self._owner)

    def release(self) -> None:
        """Give up all claims of this process."""
        with self._transaction() as cursor:
            claims.release_all(cursor, self._owner)

    @contextmanager
    def _transaction(self) -> Iterator[Any]:
        """A cursor; what happens in the block is stored as a whole, or not at all."""
        with explained(self.place):
            if self._database.connection is not None:
                yield self._database.connection.cursor()
                return
            with self._database as database:
                cursor = database.connection.cursor()
                if not self._is_file:
                    cursor.execute("SELECT pg_advisory_xact_lock(?)", (LOCK,))
                yield cursor

    def _check(self) -> None:
        with self._transaction() as cursor:
            cursor.execute("SELECT value FROM information WHERE name = ?", (VERSION_NAME,))
            found = cursor.fetchone()
        if found is None:
            raise DataError(
                f"expected a label store at {self.place}, got another ASE database; choose another --store"
            )
        if not str(found[0]).isdigit() or int(found[0]) > VERSION:
            raise DataError(
                f"expected a label store of version {VERSION} at {self.place}, got {found[0]}; update gnnpot"
            )

    def _row(self, key: str) -> AtomsRow:
        with self._transaction():
            return self._database.get(unique_id=key)


def _labeled(row: AtomsRow) -> Atoms:
    atoms = row.toatoms()
    results = dict(atoms.calc.results)
    if "energies" in row.data:
        results["energies"] = row.data["energies"]
    kept = {name: results[name] for name in ase_rows.STORED if name in results}
    ase_rows.check_label(kept, row.data, row.unique_id)
    atoms.calc = SinglePointCalculator(atoms, **results)
    return atoms
