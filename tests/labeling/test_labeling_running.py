from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.db.core import T2000, YEAR
from faulty_engines import Counting
from label_copper import copper, counting, label_copper
from reference_programs import needs_pw

from gnnpot.data.reading import content_hash
from gnnpot.engines import engine_of
from gnnpot.errors import EngineError, LabelingError
from gnnpot.labeling import CalculatorLabeler, Label, LabelStore, LocalPool, fill, label, method_of, plan
from gnnpot.labeling.paths import after_jumps, energy_jumps
from gnnpot.labeling.running import estimate

FAULTY = {"kind": "ase", "calculator_class": "faulty_engines.Faulty"}
IN_FOLDER = {
    "kind": "ase",
    "calculator_class": "faulty_engines.InFolder",
    "folder_argument": "directory",
}


def chain(size: int) -> Atoms:
    """Argon in a row; the faulty engine goes by the number of atoms."""
    return Atoms(f"Ar{size}", [[2.5 * i, 0.0, 0.0] for i in range(size)], cell=[40, 9, 9], pbc=True)


def run(tmp_path: Path, section: dict, frames: list[Atoms], *, retry_failed: bool = False, **limits: float):
    """Label ``frames``; gives the progress and the store's outcomes by size."""
    engine, store = engine_of(section), LabelStore(tmp_path / "labels.db")
    method, scratch = method_of(engine), tmp_path / "scratch"
    max_force = limits.pop("max_force", 100.0)
    labeler = CalculatorLabeler(engine, max_force=max_force, scratch=scratch)
    planned = plan(frames, method, store)
    with LocalPool(labeler, workers=2, scratch=scratch, **limits) as pool:
        progress = fill(store, planned, pool, retry_failed=retry_failed)
    failures = store.failures(planned.structures)
    return progress, {len(planned.structures[key]): failure for key, failure in failures.items()}


def lives(pid: int) -> bool:
    """Whether a process goes on, five seconds later at most; one that nobody has waited for does not."""
    state, deadline = Path(f"/proc/{pid}/stat"), time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            if state.read_text().rpartition(")")[2].split()[0] == "Z":
                return False
        except OSError:
            return False
        time.sleep(0.02)
    return True


def check_all_labeled(folder: Path, count: int) -> None:
    """All labels are there once and right, and none was computed after it was stored."""
    frames, store = copper(count), LabelStore(folder / "labels.db")
    method = method_of(counting(folder, 0.01))
    keys = [method.key(atoms) for atoms in frames]
    connection = sqlite3.connect(folder / "labels.db")
    stored = dict(connection.execute("SELECT unique_id, ctime FROM systems"))
    claimed = connection.execute("SELECT COUNT(*) FROM label_claims").fetchone()
    connection.close()
    assert sorted(stored) == sorted(keys)
    assert claimed == (0,)
    by_structure = {content_hash(atoms): key for atoms, key in zip(frames, keys, strict=True)}
    for line in (folder / "log").read_text().splitlines():
        structure, begun, _ = line.split()
        assert float(begun) < stored[by_structure[structure]] * YEAR + T2000
    expected = Counting("/dev/null")
    for atoms, labeled in list(zip(frames, store.labels(keys), strict=True))[:: count // 10]:
        atoms.calc = expected
        assert labeled.get_potential_energy() == pytest.approx(atoms.get_potential_energy(), abs=1e-12)
        np.testing.assert_allclose(labeled.get_forces(), atoms.get_forces(), rtol=0, atol=1e-12)


def test_every_label_survives_five_kills_of_the_main_process(tmp_path):
    rng = random.Random(0)
    script = Path(__file__).parents[1] / "label_copper.py"
    for _ in range(5):
        main = subprocess.Popen([sys.executable, str(script), str(tmp_path), "500", "0.01"])
        deadline = time.monotonic() + 20
        before = (tmp_path / "log").stat().st_size if (tmp_path / "log").exists() else 0
        while time.monotonic() < deadline and main.poll() is None:
            if (tmp_path / "log").exists() and (tmp_path / "log").stat().st_size > before:
                break
            time.sleep(0.02)
        time.sleep(rng.uniform(0.0, 0.2))
        main.kill()
        main.wait()
    label_copper(tmp_path, 500, 0.01)
    check_all_labeled(tmp_path, 500)
    computed = len((tmp_path / "log").read_text().splitlines())
    assert computed < 500 + 5 * 60  # each kill costs what was in flight


def test_every_label_survives_ten_kills_of_workers(tmp_path):
    rng, kills = random.Random(1), [time.monotonic()] * 10

    def kill(pool: LocalPool) -> None:
        some_work = any(worker.is_ready for worker in pool._workers)  # however slowly processes start
        if kills and some_work and time.monotonic() > kills[-1]:
            os.kill(rng.choice(pool.pids), signal.SIGKILL)
            kills.pop()
            kills[-1:] = [time.monotonic() + rng.uniform(0.0, 0.6)] if kills else []

    progress = label_copper(tmp_path, 500, 0.01, kill)
    assert not kills
    assert (progress.labeled, progress.failed, progress.left) == (500, 0, 0)
    check_all_labeled(tmp_path, 500)


def test_two_runs_on_one_store_compute_each_structure_once(tmp_path):
    script = Path(__file__).parents[1] / "label_copper.py"
    runs = [subprocess.Popen([sys.executable, str(script), str(tmp_path), "100", "0.02"]) for _ in range(2)]
    assert [process.wait(timeout=60) for process in runs] == [0, 0]
    lines = (tmp_path / "log").read_text().splitlines()
    assert len(lines) == len({line.split()[0] for line in lines}) == 100
    assert len({line.split()[2] for line in lines}) > 2  # workers of both


def test_no_process_outlives_a_main_process_that_is_killed(tmp_path):
    script = Path(__file__).parents[1] / "label_copper.py"
    main = subprocess.Popen([sys.executable, str(script), str(tmp_path), "50", "0.05"])
    while not (tmp_path / "log").exists():
        assert main.poll() is None, "it ended by itself"
        time.sleep(0.02)
    workers = {int(line.split()[2]) for line in (tmp_path / "log").read_text().splitlines()}
    main.kill()
    main.wait()
    assert not any(lives(pid) for pid in workers)


def test_each_fault_of_an_engine_becomes_a_reason_and_the_rest_goes_on(tmp_path):
    frames = [chain(size) for size in range(1, 9)]
    progress, failures = run(tmp_path, FAULTY, frames, time_limit=2.0)
    assert (progress.labeled, progress.failed) == (4, 4)
    assert {size: failure.kind for size, failure in failures.items()} == {
        1: "time-out",
        2: "crash",
        3: "not converged",
        4: "crash",
    }
    assert "no result after 2 s" in failures[1].reason
    assert "signal 11" in failures[2].reason
    assert "garbage on stderr" in failures[2].reason
    assert "7 iterations" in failures[3].reason
    assert "KeyError: 'a bug of the engine'" in failures[4].reason


def test_failures_are_tried_again_only_when_asked(tmp_path):
    frames = [chain(3), chain(5)]
    first, _ = run(tmp_path, FAULTY, frames)
    again, _ = run(tmp_path, FAULTY, frames)
    asked, _ = run(tmp_path, FAULTY, frames, retry_failed=True)
    assert (first.labeled, first.failed) == (1, 1)
    assert (again.found, again.known_failures, again.failed, again.left) == (1, 1, 0, 0)
    assert (asked.found, asked.known_failures, asked.failed, asked.left) == (1, 0, 1, 0)


def test_a_run_that_tries_again_waits_for_another_that_does(tmp_path):
    mended, frames = tmp_path / "mended", [chain(size) for size in (2, 5, 6, 7)]
    section = {
        "kind": "ase",
        "calculator_class": "faulty_engines.Mended",
        "arguments": {"folder": str(mended)},
    }
    first, _ = run(tmp_path, section, frames)
    assert first.failed == 4
    mended.mkdir()
    again = (
        f"import sys; sys.path[:0] = {[str(folder) for folder in Path(__file__).parents[:2]]!r}\n"
        "from test_labeling_running import *\n"
        "frames = [chain(size) for size in (2, 5, 6, 7)]\n"
        f"print(run(Path({str(tmp_path)!r}), {section!r}, frames, retry_failed=True))"
    )
    other = subprocess.Popen([sys.executable, "-c", again], stdout=subprocess.PIPE, text=True)
    with closing(sqlite3.connect(tmp_path / "labels.db")) as connection:
        while connection.execute("SELECT COUNT(*) FROM label_claims").fetchone() == (0,):
            assert other.poll() is None, "the other run has ended"
            time.sleep(0.02)
    progress, failures = run(tmp_path, section, frames, retry_failed=True)
    said, _ = other.communicate(timeout=60)
    assert other.returncode == 0, said
    assert list(failures) == [2]
    assert (progress.found + progress.labeled, progress.known_failures + progress.failed) == (3, 1)
    assert progress.found or progress.known_failures  # by the other
    assert progress.left == 0


def test_a_force_over_the_limit_is_refused(tmp_path):
    close = chain(5)
    close.positions[1, 0] = 1.0
    progress, failures = run(tmp_path, FAULTY, [close], max_force=50.0)
    assert progress.failed == 1
    assert failures[5].kind == "force over limit"
    assert "expected forces below 50 eV/Å" in failures[5].reason


def test_only_the_folder_of_a_failure_stays(tmp_path):
    run(tmp_path, IN_FOLDER, [chain(2), chain(3)])
    (folder,) = (tmp_path / "scratch").iterdir()
    assert folder.name.startswith(content_hash(chain(2))[:16])
    assert (folder / "wave.dat").exists()
    run(tmp_path, IN_FOLDER, [chain(2)], retry_failed=True)
    (again,) = (tmp_path / "scratch").iterdir()
    assert again != folder


def test_two_methods_at_once_on_one_structure_do_not_meet_in_a_folder(tmp_path):
    pools, found = {}, {}
    for factor in (1.0, 2.0):
        section = IN_FOLDER | {"calculator_class": "faulty_engines.Scaled", "arguments": {"factor": factor}}
        labeler = CalculatorLabeler(engine_of(section), scratch=tmp_path)
        pools[factor] = LocalPool(labeler, scratch=tmp_path)
    with pools[1.0], pools[2.0]:
        frames = copper(20)
        for factor, pool in pools.items():
            for number, atoms in enumerate(frames):
                pool.submit(f"{factor} {number}", atoms)
        while len(found) < 2 * len(frames):
            found |= {key: outcome for pool in pools.values() for key, outcome in pool.wait(0.1)}
    for key, outcome in found.items():
        assert isinstance(outcome, Label), outcome
        assert outcome.results["energy"] == float(key.split()[0])


def test_a_labeler_that_cannot_begin_ends_the_run(tmp_path):
    with LocalPool(_NoUnpickling(), scratch=tmp_path) as pool:
        pool.submit("a", chain(3))
        with pytest.raises(EngineError, match=r"expected a process that can label, got none: .*not here"):
            pool.wait(30.0)


class _NoUnpickling:
    def __reduce__(self):
        return _fail, ()


def _fail() -> None:
    raise ValueError("not here")


def test_an_estimate_stores_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("gnnpot.labeling.running._PATIENCE", 60.0)  # however slowly a process starts
    labeler = CalculatorLabeler(counting(tmp_path, 0.05))
    with LocalPool(labeler, scratch=tmp_path / "scratch") as pool:
        seconds, reasons = estimate(pool, ((str(n), atoms) for n, atoms in enumerate(copper(10))))
    assert seconds == pytest.approx(0.05, rel=0.5)
    assert reasons == []
    assert len((tmp_path / "log").read_text().splitlines()) == 10


def test_any_function_is_a_labeler_and_a_failure_is_a_value():
    def odd(atoms: Atoms) -> Atoms:
        if len(atoms) % 2 == 0:
            raise LabelingError("even")
        return atoms

    kinds = [type(outcome) for outcome in label(odd, [chain(1), chain(2), chain(3)])]
    assert kinds == [Atoms, LabelingError, Atoms]


def test_a_jump_to_another_state_is_found_on_a_path():
    path = []
    for number, stretch in enumerate(np.linspace(2.4, 3.2, 9)):
        atoms = chain(3)
        atoms.positions[2, 0] = 2.5 + stretch
        atoms.calc = Counting("/dev/null")
        energy, forces = atoms.get_potential_energy(), atoms.get_forces()
        energy += 5.0 if 4 <= number <= 6 else 0.0
        atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=forces)
        path.append(atoms)
    assert np.abs(energy_jumps(path)[:3]).max() < 0.01
    assert after_jumps(path, largest=1.0) == [4, 5, 6]
    assert after_jumps([*path, chain(4)], largest=1.0) == [4, 5, 6]


SI = {"kind": "espresso", "pseudopotentials": {"Si": "Si.pbe-rrkj.UPF"}, "ecutwfc": 8.0, "kpoints": (1, 1, 1)}


def silicon() -> Atoms:
    return bulk("Si", "diamond", a=5.47)


def script(tmp_path: Path, body: str) -> str:
    """A program in the place of pw.x."""
    path = tmp_path / "fake-pw.x"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


@needs_pw
def test_a_calculation_that_never_converges_is_stored_as_such(tmp_path):
    progress, failures = run(tmp_path, SI | {"max_iterations": 1}, [silicon()])
    assert progress.failed == 1
    assert failures[2].kind == "not converged"
    assert "no self-consistency after 1 iterations" in failures[2].reason


@needs_pw
@pytest.mark.parametrize(
    ("body", "kind", "reason"),
    [
        ("kill -9 $$", "crash", "pw.x was killed by signal 9"),
        ("echo 'JOB DONE' and garbage; exit 0", "crash", ""),
        ("exit 3", "crash", "pw.x ended with code 3"),
        ("sleep 1000", "time-out", "no result after 3 s"),
    ],
)
def test_what_a_program_does_wrong_is_stored(tmp_path, body, kind, reason):
    section = SI | {"command": script(tmp_path, body)}
    progress, failures = run(tmp_path, section, [silicon()], time_limit=3.0)
    assert progress.failed == 1
    assert failures[2].kind == kind
    assert reason in failures[2].reason


@needs_pw
def test_the_program_ends_with_its_time_limit(tmp_path):
    section = SI | {"command": script(tmp_path, f"echo $$ > {tmp_path}/pid; sleep 1000")}
    run(tmp_path, section, [silicon()], time_limit=2.0)
    assert not lives(int((tmp_path / "pid").read_text()))
