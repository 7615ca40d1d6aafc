"""The commands as Python functions, with structures in memory and results as objects."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.io import read
from matplotlib.figure import Figure

import gnnpot
from gnnpot.data.reading import read_frames
from gnnpot.errors import ConfigError
from gnnpot.evaluation.evaluation import Evaluation
from gnnpot.training.fit import Observer

EXAMPLES = sorted((Path(__file__).resolve().parents[2] / "examples").glob("*.py"))
DEMO = "gnnpot:silicon-demo.xyz@::8"
MODEL = {"kind": "schnet", "cutoff": 4.0, "channels": 4, "num_filters": 4, "num_interactions": 1}
QUIET = Observer()


@pytest.fixture(scope="module")
def frames() -> list[Atoms]:
    return list(read_frames([DEMO]))


@pytest.fixture(scope="module")
def result(frames, tmp_path_factory):
    output = tmp_path_factory.mktemp("functions") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gnnpot.training.run.write_report", lambda *_: None)
        return gnnpot.train(
            model=MODEL,
            training={"max_epochs": 2, "batch_size": 10},
            train=frames,
            test={"fraction": 0.2},
            output=output,
            observer=QUIET,
        )


def test_public_names_are_functions_and_sections():
    assert all(callable(getattr(gnnpot, name)) for name in gnnpot.__all__ if name != "__version__")
    code = "import gnnpot; import gnnpot.transferring.run; assert callable(gnnpot.transfer)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_training_gives_its_potential_and_errors_with_units(result, frames):
    assert result.potential.elements == ("Si",)
    (atoms,) = [frames[0].copy()]
    atoms.calc = result.calculator()
    assert np.isfinite(atoms.get_potential_energy())
    records = {record["set"]: record for record in result.errors.records()}
    assert set(records) == {"train", "validation", "test"}
    assert records["test"]["forces RMSE (meV/Å)"] == result.metrics["forces"]["rmse"]
    assert result.metrics["units"] == {"energy": "meV/atom", "forces": "meV/Å", "stress": "MPa"}
    assert "meV/Å" in result._repr_html_()
    assert len(result.history) == 2
    assert all(isinstance(figure, Figure) for figure in result.figures().values())
    assert "stress (MPa)" in str(result.errors)
    assert str(result).splitlines() == [
        f"TrainingResult in {result.folder}",
        *str(result.errors).splitlines(),
    ]


def test_errors_are_a_table_of_pandas(result):
    pandas = pytest.importorskip("pandas")
    table = result.errors.to_pandas()
    assert isinstance(table, pandas.DataFrame)
    assert table.loc["test", "energy MAE (meV/atom)"] == result.metrics["energy"]["mae"]


def test_a_run_folder_is_evaluated_and_predictions_stand_beside_labels(result, frames, tmp_path):
    judged = gnnpot.evaluate(result.folder, frames, output=tmp_path / "judged")
    assert isinstance(judged, Evaluation)
    assert judged.metrics()["num_structures"] == 25
    assert "meV/Å" in judged._repr_html_()
    assert "meV/Å" in repr(judged)
    assert len(repr(judged).splitlines()) == 2 + len({*judged.groups, "all"})
    assert set(judged.figures()) == {"energy", "forces", "stress"}
    written = read(tmp_path / "judged" / "predictions.xyz", ":")
    for atoms, labeled in zip(written, frames, strict=True):
        copy = labeled.copy()
        copy.calc = result.calculator()
        assert atoms.info["REF_energy"] == pytest.approx(labeled.get_potential_energy())
        assert atoms.info["gnnpot_energy"] == pytest.approx(copy.get_potential_energy(), abs=1e-4)
        np.testing.assert_allclose(atoms.arrays["REF_forces"], labeled.get_forces(), atol=1e-7)
        np.testing.assert_allclose(atoms.arrays["gnnpot_forces"], copy.get_forces(), atol=1e-4)
        np.testing.assert_allclose(atoms.info["gnnpot_stress"], copy.get_stress(), atol=1e-5)
    assert json.loads((tmp_path / "judged" / "metrics.json").read_text())["units"]["stress"] == "MPa"


def test_a_command_takes_the_folder_of_a_run(command, result):
    code, out, err = command("evaluate", result.folder, DEMO, "--json")
    assert code == 0, err
    assert json.loads(out)["num_structures"] == 25
    assert command("info", result.folder)[0] == 0


def test_structures_are_validated_in_memory(frames):
    report = gnnpot.validate(frames)
    assert (report.num_frames, report.faults) == (25, ())
    assert "no faults found" in report._repr_html_()
    first, *_, last = str(report).splitlines()
    assert (first.endswith(": 25 frames"), last) == (True, "no faults found")


def test_a_potential_is_carried_over_from_a_folder(result, frames, tmp_path, monkeypatch):
    monkeypatch.setattr("gnnpot.transferring.run.write_report", lambda *_: None)
    carried = gnnpot.transfer(
        source=str(result.folder),
        training={"max_epochs": 1, "batch_size": 10},
        train=frames,
        output=tmp_path / "transfer",
        observer=QUIET,
    )
    assert set(carried.errors.rows) == {"before training", "transferred"}
    assert carried.potential.cutoff == 4.0


def test_sections_may_be_objects_and_wrong_ones_are_refused(frames, tmp_path):
    config = gnnpot.RunConfig.from_dict({"model": MODEL, "train": DEMO}, source="test")
    with pytest.raises(ConfigError, match="did you mean 'max_epochs'"):
        gnnpot.train(config, tmp_path / "run", training={"max_epoch": 1})
    with pytest.raises(ConfigError, match="no key is called trian"):
        gnnpot.train(config, tmp_path / "run", trian=frames)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_run(example, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(example), run_name="__main__")
    assert capsys.readouterr().out


def test_the_notebook_runs_and_shows_tables_and_figures(tmp_path):
    pytest.importorskip("nbconvert", reason="pip install nbconvert ipykernel")
    pytest.importorskip("ipykernel", reason="pip install nbconvert ipykernel")
    text = (
        (EXAMPLES[0].parent / "first_potential.ipynb")
        .read_text()
        .replace('"max_epochs\\": 30', '"max_epochs\\": 2')
    )
    assert 'max_epochs\\": 2' in text
    (tmp_path / "notebook.ipynb").write_text(text)
    environment = os.environ | {"IPYTHONDIR": str(tmp_path), "JUPYTER_CONFIG_DIR": str(tmp_path)}
    words = [
        sys.executable,
        "-m",
        "nbconvert",
        "--to",
        "notebook",
        "--execute",
        "--inplace",
        "notebook.ipynb",
    ]
    subprocess.run(words, check=True, cwd=tmp_path, env=environment, timeout=300)
    cells = json.loads((tmp_path / "notebook.ipynb").read_text())["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    shown = [output["data"] for output in outputs if "data" in output]
    pages = ["".join(data["text/html"]) for data in shown if "text/html" in data]
    assert len([data for data in shown if "image/png" in data]) == 2
    assert any("Agreement of the labels" in page for page in pages)
    assert any("meV/Å" in page for page in pages)
    assert not any("Warning" in "".join(output.get("text", "")) for output in outputs)
