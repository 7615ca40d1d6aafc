"""The programs of ``benchmarks/`` run, and say what they cannot measure."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from potentials import small_potential

from gnnpot.potential.model_file import save_potential
from gnnpot.training.run_config import RunConfig

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture
def program(monkeypatch):
    """Import a program, to call its functions."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    return import_module


def finished(program: str, *words: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(BENCHMARKS / program), *map(str, words)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def run(program: str, *words: object) -> str:
    done = finished(program, *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def refusal(program, monkeypatch, capsys):
    """The line by which a program refuses; nothing was measured or drawn before."""

    def line(name: str, *words: object) -> str:
        monkeypatch.setattr(sys, "argv", [name])
        with pytest.raises(SystemExit) as stopped:
            program(name).main([*map(str, words)])
        captured = capsys.readouterr()
        assert (stopped.value.code, captured.out) == (2, "")
        assert captured.err.startswith(f"{name}: ")
        assert captured.err.count("\n") == 1
        return captured.err

    return line


def test_throughput_is_written_and_drawn(tmp_path):
    output = tmp_path / "new" / "folder" / "throughput.json"
    words = ["--models", "ani", "--tasks", "train", "--sizes", 8, "--batches", "--seconds", 0.01]
    table = run("throughput.py", *words, "--output", output)
    (row,) = json.loads(output.read_text())["rows"]
    assert row["atoms"] == 8
    assert row["us_per_atom"] > 0
    assert f"{row['us_per_atom']:.3g}" in table
    assert output.with_suffix(".png").read_bytes().startswith(b"\x89PNG")


def test_the_table_names_what_exceeded_the_limits_if_nothing_was_measured(tmp_path):
    output = tmp_path / "throughput.json"
    words = ["--models", "ani", "--tasks", "md", "--sizes", 8, "--batches", "--limit", 0.001]
    done = finished("throughput.py", *words, "--output", output)
    assert done.returncode == 0
    assert "| more than 0.001 s |" in done.stdout.splitlines()[-1]
    assert done.stderr.splitlines()[-1].startswith("no figure: ")
    assert [row["error"] for row in json.loads(output.read_text())["rows"]] == ["more than 0.001 s"]
    assert not output.with_suffix(".png").exists()


def test_runs_as_a_batch_are_timed_beside_runs_one_after_another(tmp_path):
    save_potential(small_potential("ani"), tmp_path / "model.safetensors", provenance={})
    words = ["--repeat", 1, "--copies", 2, "--steps", 20, "--rounds", 1, "--output", tmp_path / "times.json"]
    table = run("replicas.py", tmp_path / "model.safetensors", *words, "--temperature", 10)
    assert [line.split("  ")[0] for line in table.splitlines()[1:]] == ["one after another", "2 together"]
    found = json.loads((tmp_path / "times.json").read_text())
    assert found["atoms"] == 8
    assert all(value > 0 for times in found["times"].values() for pair in times for value in pair)


def test_labels_of_sizes_have_room(program):
    spaced = program("throughput").spaced
    assert spaced({8}) == [8]
    assert spaced({8, 64}) == [8, 64]
    assert spaced({900, 1000, 1100}) == [900, 1000, 1100]
    assert spaced({8, 64, 80, 1000, 16000, 20000, 100000}) == [8, 64, 1000, 16000, 100000]


def test_a_task_of_which_nothing_was_measured_has_no_panel(program, tmp_path):
    case = {"architecture": "ani", "threads": 1, "batch": 1}
    measured = {**case, "task": "md", "atoms": 8, "us_per_atom": 100.0}
    failed = {**case, "task": "train", "error": "more than 1 s"}
    program("throughput").draw([failed, measured], tmp_path / "throughput.svg")
    drawn = (tmp_path / "throughput.svg").read_text()
    assert "<!-- step of dynamics -->" in drawn
    assert "<!-- training step -->" not in drawn


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--models", "schnett"], "expected a model, got 'schnett'; did you mean 'schnet'?"),
        (["--sizes", 8, 0], "--sizes: expected a whole number above 0, got '0'"),
        (["--batches", -4], "--batches: expected a whole number above 0, got '-4'"),
        (["--threads", 0], "--threads: expected a whole number above 0, got '0'"),
        (["--limit", "nan"], "--limit: expected a finite number above 0, got 'nan'"),
        (["--output", "figure.png"], "expected a JSON file, got figure.png"),
    ],
)
def test_throughput_refuses_what_cannot_be_measured_in_one_line(refusal, words, told):
    assert told in refusal("throughput", *words)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--rounds", 0], "--rounds: expected a whole number above 0, got '0'"),
        (["--works", "si8", "si0"], "--works: expected hexane, ni32, ni108 or si and a number of atoms"),
        (["--output", BENCHMARKS], f"got {BENCHMARKS} (a folder); choose another"),
        (["--output", "/dev/null/peers.json"], "got /dev/null/peers.json (File exists)"),
    ],
)
def test_peers_refuses_what_cannot_be_measured_in_one_line(refusal, words, told):
    assert told in refusal("peers", *words)


def test_a_missing_library_is_named_with_the_command_that_installs_it(tmp_path):
    words = ["--architectures", "ani", "--works", "hexane", "--tasks", "train", "--batch", 2, "--rounds", 1]
    output = tmp_path / "new" / "peers.json"
    lines = run("peers.py", *words, "--folder", tmp_path, "--output", output).splitlines()
    assert len(json.loads(output.read_text())["rows"]) == 3
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    ratios = {row[4].split()[0]: row[8] for row in rows if row[4].startswith("gnnpot ")}
    assert ratios == {"gnnpot": "1.00"}
    notes = {row[4]: row[9] for row in rows if row[4].startswith("torchani")}
    hint = f"not installed: run `python benchmarks/environments.py torchani --folder {tmp_path}`"
    assert notes == {"torchani": hint, "torchani, flat batch": hint}


@pytest.fixture
def peers_file(tmp_path):
    """Write rows as peers.py does: task, work, ratio."""

    def write(*rows: tuple[str, str, float], threads: int = 1) -> Path:
        case = {"architecture": "ani", "batch": 2, "threads": threads}
        works = {"si8": 16, "hexane": 40}
        written = [
            {**case, "task": task, "work": work, "atoms": works[work], "peer": peer, "ratio": value}
            for task, work, ratio in rows
            for peer, value in (("gnnpot", 1.0), ("torchani", ratio))
        ]
        path = tmp_path / f"peers-{threads}.json"
        path.write_text(json.dumps({"rows": written}))
        return path

    return write


@pytest.mark.parametrize("tasks", [("train", "md"), ("md",), ("md", "train_list", "train")])
def test_the_figure_of_peers_shows_all_of_its_points(program, peers_file, tasks):
    ratios = {"train": 1.5, "train_list": 3.0, "md": 40.0}
    rows = [(task, work, ratios[task]) for task in tasks for work in ("si8", "hexane")]
    peers_figure = program("peers_figure")
    axes = peers_figure.drawn(peers_figure.compared(peers_file(*rows))).axes
    assert [axis.get_title() for axis in axes] == [
        title for task, title in peers_figure.TASKS.items() if task in tasks
    ]
    for axis, task in zip(axes, [task for task in ratios if task in tasks], strict=True):
        (marks,) = axis.collections
        assert marks.get_offsets().tolist() == [[ratios[task], 0], [ratios[task], -1]]
        assert axis.get_xlim()[0] == 0
        assert axis.get_xlim()[1] > max(ratios[task] for task in tasks)
        assert [label.get_text() for label in axis.get_yticklabels()] == ["ANI, Si, 8 atoms", "ANI, hexane"]


def test_the_figure_of_peers_says_what_its_ratios_are_of(program, peers_file):
    peers_figure = program("peers_figure")
    one, two = (peers_figure.compared(peers_file(("md", "si8", 2.0), threads=threads)) for threads in (1, 2))

    def said(points):
        figure = peers_figure.drawn(points)
        lines = [label.get_text() for label in figure.axes[0].get_yticklabels()]
        return figure.legends[0].get_title().get_text(), lines

    assert said(one) == ("processor time (gnnpot = 1)", ["ANI, Si, 8 atoms"])
    assert said(two) == ("wall time (gnnpot = 1)", ["ANI, Si, 8 atoms"])
    assert said(two + one) == (
        "processor time, of several threads wall time (gnnpot = 1)",
        ["ANI, Si, 8 atoms, 1 thread", "ANI, Si, 8 atoms, 2 threads"],
    )


def test_the_figure_of_peers_knows_all_that_is_compared(program):
    adapters, peers, peers_figure = map(program, ("adapters", "peers", "peers_figure"))
    assert set(peers_figure.TASKS) == set(peers.TASKS)
    for architecture, libraries in adapters.ARCHITECTURES.items():
        if "gnnpot" in libraries:
            assert architecture in peers_figure.ARCHITECTURES
            assert {"gnnpot", *peers_figure.PEERS} >= set(libraries)


def test_the_figure_of_peers_is_written_to_a_new_folder(peers_file, tmp_path):
    figure = tmp_path / "new" / "peers.png"
    run("peers_figure.py", peers_file(("train", "si8", 2.0)), figure)
    assert figure.read_bytes().startswith(b"\x89PNG")


def test_other_files_than_those_of_peers_are_refused_in_one_line(refusal, peers_file, tmp_path):
    figure = tmp_path / "peers.png"
    files = {
        "throughput": {"rows": [{"peer": "gnnpot", "architecture": "ani", "us_per_atom": 100.0}]},
        "strange": {"rows": [{"peer": "unknown", "ratio": 2.0}]},
        "list": [1, 2],
    }
    for name, content in files.items():
        (tmp_path / name).write_text(json.dumps(content))
    assert "throughput without any; measure with" in refusal("peers_figure", tmp_path / "throughput", figure)
    assert "strange; measure with peers.py" in refusal("peers_figure", tmp_path / "strange", figure)
    assert "list; measure with peers.py" in refusal("peers_figure", tmp_path / "list", figure)
    assert "(No such file or directory)" in refusal("peers_figure", tmp_path / "missing", figure)
    measured = peers_file(("train", "si8", 2.0))
    assert "let its name end with .svg" in refusal("peers_figure", measured, measured)
    assert not figure.exists()


def test_mutated_labels_are_judged_by_the_cure_that_is_named(program):
    module = program("mutated_labels")
    name, frames = next(module.made())
    assert name.startswith("Cu, EMT, 1 % strain")
    assert module.judged(frames, module.MUTATIONS["gradients"]) == "right"
    other = module.Mutation("forces", lambda value, _: -value, "keys.stress_sign: pressure")
    assert module.judged(frames, other) == "wrong"
    nothing = module.Mutation("forces", lambda value, _: value, "keys.stress_sign: pressure")
    assert module.judged(frames, nothing) == "silent"


def test_defaults_are_held_against_configurations_that_fit_and_cells_that_can_be_made_again(program):
    defaults = program("defaults")
    for names in (*((name,) for name in defaults.TRIES), *defaults.TUNED.values()):
        RunConfig.from_dict({**defaults.tried(names), "train": "a.xyz"}, source="tried")
    assert set(defaults.TUNED) >= set(defaults.METALS)
    tuned = RunConfig.from_dict({**defaults.silicon(2.5), "train": "a.xyz"}, source="silicon")
    assert tuned.model.cutoff == pytest.approx(6.0 * 2.5 / 2.35)
    for symbol, sizes in {"Cu": {31, 32}, "Zr": {35, 36}, "Fe": {53, 54}}.items():
        cells, again = (defaults.metal_cells(symbol, 8, seed=1) for _ in range(2))
        assert {len(atoms) for atoms in cells} == sizes
        assert all((one.positions == other.positions).all() for one, other in zip(cells, again, strict=True))
