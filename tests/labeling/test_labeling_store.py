from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import ase.db
import ase.db.sqlite
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.db.row import AtomsRow

from gnnpot.data.reading import read_frames
from gnnpot.engines import engine_of
from gnnpot.errors import DataError, OutputError
from gnnpot.labeling import CalculatorLabeler, Failure, Label, LabelStore, Method, method_of, plan
from gnnpot.labeling.methods import Record
from gnnpot.labeling.store.ase_rows import checksum
from gnnpot.labeling.store.claims import LEASE

METHOD = Method("toy", '{"kind": "toy"}')
POSTGRES = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)
NEEDS = "apt-get install postgresql and pip install ase-db-backends"


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """URL of a PostgreSQL server: $GNNPOT_POSTGRES, or one of our own."""
    if find_spec("ase_db_backends") is None or (POSTGRES is None and "GNNPOT_POSTGRES" not in os.environ):
        pytest.skip(f"needs a PostgreSQL server: {NEEDS}")
    if url := os.environ.get("GNNPOT_POSTGRES"):
        yield url
        return
    user = "postgres" if os.geteuid() == 0 else None  # the server refuses to run as root
    folder = Path(tempfile.mkdtemp(prefix="gnnpot-postgres-"))  # pytest's own folders are root's alone
    if user is not None:
        shutil.chown(folder, user)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    def run(*words: str) -> None:
        with (folder / "output").open("ab") as output:  # a pipe would stay open with the server
            done = subprocess.run(
                [str(POSTGRES / words[0]), *words[1:]], user=user, cwd=folder, env={"LC_ALL": "C.UTF-8"},
                stdout=output, stderr=output,
            )  # fmt: skip
        assert done.returncode == 0, (folder / "output").read_text()

    run("initdb", "-D", "data", "-U", "tester", "-A", "trust", "--no-sync")
    options = f"-p {port} -h 127.0.0.1 -c unix_socket_directories='' -c fsync=off"
    run("pg_ctl", "-D", "data", "-o", options, "-l", "log", "-w", "start")
    try:
        yield f"postgresql://tester@127.0.0.1:{port}/postgres"
    finally:
        run("pg_ctl", "-D", "data", "-m", "immediate", "stop")
        shutil.rmtree(folder)


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A new store, in a file or on a server."""
    if request.param == "sqlite":
        yield str(tmp_path / "labels.db")
        return
    install = "pip install 'gnnpot[label]' psycopg2-binary"
    psycopg2 = pytest.importorskip("psycopg2", reason=install)
    pytest.importorskip("ase_db_backends", reason=install)
    url = request.getfixturevalue("server")
    yield url
    connection = psycopg2.connect(url)
    connection.autocommit = True
    connection.cursor().execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    connection.close()


def copper(number: int) -> Atoms:
    atoms = bulk("Cu", cubic=True)
    atoms.rattle(0.1, seed=number)
    return atoms


def labels(number: int) -> Label:
    rng = np.random.default_rng(number)
    results = {
        "energy": rng.normal(),
        "forces": rng.normal(size=(4, 3)),
        "stress": rng.normal(size=6),
        "energies": rng.normal(size=4),
    }
    return Label(results, 0.5)


def records(*numbers: int) -> list[Record]:
    return [Record(METHOD.key(copper(n)), copper(n), labels(n)) for n in numbers]


def failed(number: int, reason: str = "no self-consistency") -> Record:
    return Record(METHOD.key(copper(number)), copper(number), Failure("not converged", reason))


def test_a_label_comes_back_to_the_last_digit(place):
    LabelStore(place).keep(METHOD, records(0, 1))
    keys = [METHOD.key(copper(1)), METHOD.key(copper(0))]
    for number, atoms in zip((1, 0), LabelStore(place).labels(keys), strict=True):
        np.testing.assert_array_equal(atoms.positions, copper(number).positions)
        for name, value in labels(number).results.items():
            np.testing.assert_array_equal(atoms.calc.results[name], value)


def test_results_come_in_the_order_of_their_keys(place):
    LabelStore(place).keep(METHOD, [*records(0, 1), failed(2)])
    keys = [METHOD.key(copper(1)), METHOD.key(copper(0)), METHOD.key(copper(1))]
    for number, results in zip((1, 0, 1), LabelStore(place).results(keys), strict=True):
        assert set(results) == set(labels(number).results)
        for name, value in labels(number).results.items():
            np.testing.assert_array_equal(results[name], value)


def test_the_tables_hold_what_ase_would_write(tmp_path):
    magnetic = Label({"energy": -1.0, "forces": np.zeros((4, 3)), "magmoms": np.arange(4.0)}, 2.5)
    molecule = Atoms("OHC", np.eye(3))
    open_label = Label({"energy": np.float64(1.5), "forces": np.eye(3)}, 0.1)
    written = [
        *records(0, 1),
        failed(2),
        Record(METHOD.key(copper(3)), copper(3), magnetic),
        Record(METHOD.key(molecule), molecule, open_label),
    ]
    LabelStore(tmp_path / "labels.db").keep(METHOD, written)
    LabelStore(tmp_path / "ase.db")
    with ase.db.connect(tmp_path / "ase.db", use_lock_file=False) as database:
        for record in written:
            write_by_ase(database, record)
    for table in ("species", "keys", "text_key_values", "number_key_values"):
        ours, theirs = (rows_of(tmp_path / name, table) for name in ("labels.db", "ase.db"))
        assert sorted(ours) == sorted(theirs)
    ours, theirs = (rows_of(tmp_path / name, "systems") for name in ("labels.db", "ase.db"))
    columns = ase.db.sqlite.SQLite3Database.columnnames
    assert len(ours) == len(theirs) == len(written)
    for one, other in zip(ours, theirs, strict=True):
        for name, value, expected in zip(columns, one, other, strict=True):
            if name in ("fmax", "smax", "volume", "mass") and expected is not None:
                assert value == pytest.approx(expected, rel=1e-12)
            elif name not in ("ctime", "mtime"):
                assert value == expected, name


def write_by_ase(database: Any, record: Record) -> None:
    atoms, outcome = record.atoms, record.outcome
    values = {name: getattr(atoms, name) for name in ("numbers", "positions", "pbc")}
    values |= {"cell": atoms.cell.array, "unique_id": record.key, "ctime": 0.0, "user": os.getenv("USER")}
    words: dict[str, Any] = {"method": METHOD.name, "method_hash": f"m{METHOD.hash[:15]}"}
    if isinstance(outcome, Label):
        results = dict(outcome.results)
        energies = results.pop("energies", None)
        values |= {"calculator": METHOD.name, "calculator_parameters": {}, **results}
        data = {} if energies is None else {"energies": energies}
        data["checksum"] = checksum(outcome.results)
        words["seconds"] = outcome.seconds
    else:
        data, words["failure"] = {"reason": outcome.reason}, outcome.kind
    database.write(AtomsRow(values), data=data, **words)


def rows_of(path: Path, table: str) -> list[tuple]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(f"SELECT * FROM {table}").fetchall()


def test_a_label_is_stored_once_and_the_first_one_stays(place):
    store = LabelStore(place)
    store.keep(METHOD, records(0))
    store.keep(METHOD, [records(0)[0]._replace(outcome=labels(5))])
    assert store.states([METHOD.key(copper(0))]) == {METHOD.key(copper(0)): True}
    (atoms,) = store.labels([METHOD.key(copper(0))])
    assert atoms.get_potential_energy() == labels(0).results["energy"]


def test_a_failure_keeps_its_reason_until_there_is_a_label(place):
    store, key = LabelStore(place), METHOD.key(copper(0))
    store.keep(METHOD, [failed(0), *records(1)])
    assert store.failures([key]) == {key: Failure("not converged", "no self-consistency")}
    store.keep(METHOD, [failed(0, "again")])
    assert store.failures([key])[key].reason == "again"
    store.keep(METHOD, records(0))
    assert store.states([key]) == {key: True}
    assert store.failures([key]) == {}


def test_names_and_reasons_may_hold_anything(place):
    words = "O'Brien\"; DROP TABLE systems; -- %s {0} \\ \n 💥"
    store, method = LabelStore(place), Method(words, '{"kind": "toy"}')
    store.keep(method, [failed(0, f"{words} \x00 \ud800"), *records(1)])
    assert store.failures([METHOD.key(copper(0))])[METHOD.key(copper(0))].reason == f"{words} ? ?"


def test_another_method_has_other_labels(place):
    store = LabelStore(place)
    store.keep(METHOD, records(0))
    other = Method("toy", '{"kind": "toy", "cutoff": 2}')
    assert other.key(copper(0)) != METHOD.key(copper(0))
    assert not plan([copper(0)], other, store).found
    assert plan([copper(0), copper(0)], METHOD, store).found == {METHOD.key(copper(0))}


def test_two_runs_share_the_work_and_a_dead_run_gives_its_share_back(place):
    keys = [METHOD.key(copper(n)) for n in range(4)]
    ours = LabelStore(place)
    assert ours.claim(keys[:2]) == keys[:2]
    take = f"from gnnpot.labeling import LabelStore; print(len(LabelStore({place!r}).claim({keys!r})))"
    theirs = subprocess.run([sys.executable, "-c", take], capture_output=True, text=True, check=True)
    assert theirs.stdout.strip() == "2"  # then it ends without a word, as if killed
    assert ours.claim(keys) == keys
    ours.keep(METHOD, records(0))
    assert ours.claim(keys) == keys[1:]
    ours.keep(METHOD, [failed(1)])
    assert ours.claim(keys) == keys[2:]
    before = ours.last
    assert ours.claim(keys, since=before) == keys[1:]
    ours.keep(METHOD, [failed(1)])
    assert ours.claim(keys, since=before) == keys[2:]
    assert ours.states(keys[:2], since=ours.last) == {keys[0]: True}


@pytest.mark.parametrize("seconds", [-LEASE - 1, LEASE + 1, 1e9])
def test_a_claim_of_another_machine_holds_until_it_is_not_renewed(tmp_path, monkeypatch, seconds):
    """Nor does it hold for long where a clock was ahead."""
    store, key = LabelStore(tmp_path / "a.db"), METHOD.key(copper(0))
    monkeypatch.setattr("gnnpot.labeling.store.claims.socket.gethostname", lambda: "elsewhere")
    other = LabelStore(tmp_path / "a.db")
    other.claim([key])
    monkeypatch.undo()
    assert store.claim([key]) == []
    with sqlite3.connect(tmp_path / "a.db") as connection:
        connection.execute("UPDATE label_claims SET renewed = renewed + ?", (seconds,))
    connection.close()
    assert store.claim([key]) == [key]


def test_many_processes_write_to_one_store_at_a_time(place):
    write = (
        "import sys; sys.path[:0] = {tests!r}; from test_labeling_store import *\n"
        "store = LabelStore({place!r})\n"
        "for n in range({start}, {start} + 20): store.keep(METHOD, records(n, n + 1))\n"
    )
    here = [str(folder) for folder in Path(__file__).parents[:2]]
    writers = [
        subprocess.Popen([sys.executable, "-c", write.format(tests=here, place=place, start=start)])
        for start in (0, 10, 20)
    ]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    keys = [METHOD.key(copper(n)) for n in range(41)]
    store = LabelStore(place)
    assert all(store.states(keys).values())
    assert len(store.states(keys)) == 41
    for number, atoms in enumerate(store.labels(keys)):
        assert atoms.get_potential_energy() == labels(number).results["energy"]


def test_the_store_is_read_like_any_other_data(tmp_path):
    LabelStore(tmp_path / "labels.db").keep(METHOD, records(0, 1))
    frames = list(read_frames([tmp_path / "labels.db"]))
    assert [frame.get_potential_energy() for frame in frames] == [labels(n).results["energy"] for n in (0, 1)]


def test_a_store_of_a_newer_version_is_refused(tmp_path):
    LabelStore(tmp_path / "labels.db")
    with sqlite3.connect(tmp_path / "labels.db") as connection:
        connection.execute("UPDATE information SET value = '99' WHERE name = 'gnnpot labels'")
    connection.close()
    with pytest.raises(DataError, match=r"version 1 .* got 99; update gnnpot"):
        LabelStore(tmp_path / "labels.db")


def test_a_store_that_cannot_be_written_says_so(tmp_path):
    store = LabelStore(tmp_path / "labels.db")
    store._database._connect = lambda: sqlite3.connect(f"file:{store.place}?mode=ro", uri=True)
    with pytest.raises(OutputError, match="readonly database"):
        store.keep(METHOD, records(0))


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (b"not a database, but long enough to have a header" * 40, DataError, "got something else"),
        (None, OutputError, "expected a folder"),
    ],
)
def test_what_is_no_store_is_refused(tmp_path, content, error, message):
    path = tmp_path / "labels.db" if content else tmp_path / "none" / "labels.db"
    if content:
        path.write_bytes(content)
    with pytest.raises(error, match=message):
        LabelStore(path)


def test_another_ase_database_is_refused(tmp_path):
    import ase.db

    with ase.db.connect(tmp_path / "other.db") as database:
        database.write(copper(0))
    with pytest.raises(DataError, match="another ASE database"):
        LabelStore(tmp_path / "other.db")


def test_a_server_that_is_not_there_is_named_without_the_password():
    pytest.importorskip("ase_db_backends", reason=NEEDS)
    with pytest.raises(OutputError, match="expected to reach the label store") as caught:
        LabelStore("postgresql://me:secret@127.0.0.1:1/x")
    assert "postgresql://me:***@127.0.0.1:1/x" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_the_key_changes_with_structure_and_method_and_with_nothing_else():
    engine = engine_of({"kind": "stillinger-weber", "preset": "Si-1985"})
    method, atoms = method_of(engine), bulk("Si")
    tagged = atoms.copy()
    tagged.set_tags(1)
    tagged.set_initial_magnetic_moments([1.0, 1.0])
    moved = atoms.copy()
    moved.positions[0, 0] += 1e-4
    assert method.key(tagged) == method.key(atoms)
    assert method.key(moved) != method.key(atoms)
    assert CalculatorLabeler(engine)(tagged).get_potential_energy() == pytest.approx(
        CalculatorLabeler(engine)(atoms).get_potential_energy()
    )


def test_the_energy_of_a_label_is_the_one_that_the_forces_derive_from():
    engine = engine_of({"kind": "ase", "calculator_class": "faulty_engines.Smeared"})
    atoms = copper(0)
    labeled = CalculatorLabeler(engine)(atoms)
    atoms.calc = EMT()
    assert labeled.get_potential_energy() == atoms.get_potential_energy()
    np.testing.assert_array_equal(labeled.get_forces(), atoms.get_forces())
