"""Reports say what was measured, in one file that loads nothing, at any size."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from dataclasses import replace
from functools import partial
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write
from evaluations import random_evaluation
from potentials import small_potential
from structures import silicon

from gnnpot.errors import OutputError
from gnnpot.evaluation.evaluation import Evaluation, evaluate
from gnnpot.evaluation.folder import evaluation_folder, write_evaluation
from gnnpot.evaluation.report import Report, write_report
from gnnpot.potential.model_file import save_potential
from gnnpot.report.tables import number
from gnnpot.transferring.report import errors_in_words, gain, verdict

VOID = {"meta", "br", "img"}
HISTORY = [
    {"epoch": epoch, "learning_rate": 1e-3, "seconds": 1.0, "train_loss": 1 / epoch,
     "validation_loss": 2 / epoch, "train_forces_rmse": 9.0, "validation_forces_rmse": 8.0}
    for epoch in (1.0, 2.0, 3.0)
]  # fmt: skip


class Page(HTMLParser):
    """A page whose tags close in order; keeps its tags, images and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.text = "|"
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag == "img":
            self.images.append(dict(attrs))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.text += data + "|"


def unlabeled(evaluation: Evaluation, name: str) -> Evaluation:
    pair = getattr(evaluation, name).copy()
    pair[0] = np.nan
    return replace(evaluation, **{name: pair})


@pytest.fixture
def page(tmp_path):
    """Write a report; gives it parsed."""

    def written(evaluation: Evaluation, **changes) -> Page:
        report = Report(**{"title": "test", "evaluations": {"test": evaluation}, **changes})
        write_report(tmp_path / "report.html", report)
        return Page((tmp_path / "report.html").read_text())

    return written


def test_a_report_is_one_file_that_loads_nothing(page, tmp_path):
    page(random_evaluation(4, 2), history=HISTORY, best_epoch=2.0)
    text = (tmp_path / "report.html").read_text()
    assert re.findall(r"<(?:script|link|iframe)|@import|url\(", text) == []
    assert set(re.findall(r'(?:src|href)="([^,"]*)', text)) == {"data:image/svg+xml;base64"}
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]


def test_every_image_is_a_picture_with_a_text_for_it(page):
    images = page(random_evaluation(4, 2), history=HISTORY, best_epoch=2.0).images
    assert len(images) == 3 + 3  # energy, forces, stress; loss, forces, learning rate
    for image in images:
        root = ElementTree.fromstring(b64decode(image["src"].partition(",")[2]))
        assert root.tag.endswith("svg")
    assert images[0]["alt"].startswith("Energy, predicted against reference: 4 values, RMSE")
    assert images[3]["alt"] == "Loss over 3 epochs; in the last one train 0.333, validation 0.667"


def test_the_headline_is_of_the_last_set(page):
    evaluation = random_evaluation(4, 2)
    energy = np.zeros((2, 4))
    energy[1] = [0.0, 0.0, 0.0, 0.0048]  # eV/atom
    test = replace(evaluation, energy=energy)
    text = page(test, evaluations={"train": evaluation, "test": test}).text
    assert "|Errors on 4 test structures of 8 atoms.|" in text
    assert "|RMSE|2.40 |meV/atom|" in text
    assert "|MAE|1.20 |meV/atom|" in text


def test_structures_that_lack_a_label_are_told_on_its_card(page):
    evaluation = random_evaluation(4, 2)
    evaluation.energy[0, 1] = np.nan
    assert "on 3 of 4 structures" in page(evaluation).text


@pytest.mark.parametrize("name", ["energy", "forces", "stress"])
def test_a_quantity_without_labels_is_left_out(page, name):
    shown = page(unlabeled(random_evaluation(4, 2), name))
    assert len(shown.images) == 2
    assert f"|{name.capitalize()}|" not in shown.text
    assert ("Largest force errors" in shown.text) == (name != "forces")
    assert ("By element" in shown.text) == (name != "forces")


def test_names_from_files_are_text_and_no_markup(page):
    evaluation = replace(random_evaluation(2, 2), groups=("<b>&", "<script>"), origins=("<i>:1", "b:2"))
    shown = page(evaluation, title="<dioxide>", facts={"<seed>": "<0>"}, warnings=["Ni & <more>"])
    assert not {"b", "i", "script", "more", "dioxide"} & set(shown.tags)
    for name in ("<b>&", "<script>", "<i>:1", "<dioxide>", "<seed>", "<0>", "Ni & <more>"):
        assert f"|{name}|" in shown.text


def test_validation_as_headline_says_that_it_picked_the_model(page):
    evaluation = random_evaluation(2, 2)
    picked = "They also picked the best epoch"
    assert picked in page(evaluation, evaluations={"validation": evaluation}, history=HISTORY).text
    assert picked not in page(evaluation, history=HISTORY).text


def test_many_groups_are_folded(page):
    assert "details" in page(random_evaluation(30, 2, groups=30)).tags
    assert "details" not in page(random_evaluation(30, 2, groups=3)).tags


def test_a_hundred_thousand_forces_make_a_small_file(page, tmp_path):
    evaluation = random_evaluation(1000, 34)
    page(evaluation, evaluations={"train": evaluation, "validation": evaluation, "test": evaluation})
    assert evaluation.forces[0].size > 100_000
    assert (tmp_path / "report.html").stat().st_size < 1_500_000


def test_one_frame_with_one_value_is_drawn(page):
    evaluation = random_evaluation(1, 1, groups=1)
    shown = page(unlabeled(unlabeled(evaluation, "forces"), "stress"), history=HISTORY[:1], best_epoch=1.0)
    assert "Errors on 1 test structure of 1 atom." in shown.text
    assert len(shown.images) == 1 + 3


def test_the_same_report_is_the_same_file(page, tmp_path):
    texts = []
    for _ in range(2):
        page(random_evaluation(20, 20), history=HISTORY)
        texts.append((tmp_path / "report.html").read_bytes())
    assert texts[0] == texts[1]


def test_the_lines_that_show_its_use_are_python(page):
    text = page(random_evaluation(2, 2), model="my run/it's.safetensors").text
    start = text.index("from ase.io import read")
    lines = text[start : text.index("|", start)]
    compile(lines, "report", "exec")
    assert '"my run/it\'s.safetensors"' in lines


@pytest.mark.parametrize(
    ("values", "shown"),
    [((0.1234,), "0.123"), ((1.0, 126.1), "1.0"), ((9.876,), "9.88"), ((12345.6,), "12,346"),
     ((-0.5, 3.0), "−0.50"), ((np.nan, 1.0), "–")],
)  # fmt: skip
def test_numbers_of_a_column_share_their_decimals(values, shown):
    assert number(*values) == shown


def test_an_evaluation_leaves_metrics_and_a_report_of_the_real_potential(tmp_path):
    potential, atoms = small_potential(), silicon()
    atoms.calc = SinglePointCalculator(atoms, energy=-800.0, forces=np.zeros((8, 3)))
    evaluation, output = evaluate(potential, [atoms]), tmp_path / "deep" / "out"
    words = {"potential": potential, "model": tmp_path / "m.safetensors", "data": ["a.xyz"]}
    path = write_evaluation(evaluation, output, **words)
    assert json.loads((output / "metrics.json").read_text()) == evaluation.metrics()
    text = Page(path.read_text()).text
    assert "|schnet, " in text
    assert "cutoff 4 Å|" in text
    before = {file: file.read_bytes() for file in output.iterdir()}
    with pytest.raises(OutputError, match=r"expected a new folder, got .* with metrics.json"):
        write_evaluation(evaluation, output, **words)
    assert before == {file: file.read_bytes() for file in output.iterdir()}


def test_isolated_atoms_that_were_left_out_are_told(page):
    evaluation = random_evaluation(4, 2)
    assert "Isolated atoms" not in page(evaluation).text
    text = page(replace(evaluation, num_isolated=3, free_atoms={"Si": -0.25})).text
    assert "Isolated atoms are left out: 3. Errors of free atoms: Si -0.2500 eV." in text


def test_a_run_is_not_written_over(tmp_path):
    (tmp_path / "config.yaml").touch()
    with pytest.raises(OutputError, match=r"with config.yaml; choose another --output"):
        evaluation_folder(tmp_path).check_new()
    with pytest.raises(OutputError, match="expected a folder to write to, got the file"):
        evaluation_folder(tmp_path / "config.yaml").check_new()


@pytest.fixture
def command(command, tmp_path, monkeypatch):
    """Evaluate two structures of the group "[bulk]"; gives exit code, stdout, stderr."""
    save_potential(small_potential(), tmp_path / "m.safetensors")
    frames = [silicon(seed=seed) for seed in (1, 2)]
    for atoms in frames:
        atoms.calc = SinglePointCalculator(atoms, energy=-800.0, forces=np.zeros((8, 3)))
        atoms.info["group"] = "[bulk]"
    write(tmp_path / "a.xyz", frames)
    monkeypatch.setenv("COLUMNS", "80")
    return partial(command, "evaluate", tmp_path / "m.safetensors", tmp_path / "a.xyz")


def test_the_table_of_errors_fits_80_columns_with_its_units_and_names(command):
    code, out, _ = command("--batch-atoms", 8)
    assert code == 0
    assert "…" not in out
    for word in ("structures", "meV/atom", "meV/Å", "all"):
        assert word in out
    assert "[bulk]" not in out  # the only group would repeat the row of all
    assert "on Si" not in out
    assert "MPa" not in out  # there is no stress to judge
    title, *lines = out.splitlines()
    assert title.startswith("Errors of ")  # with a path of any length
    assert max(map(len, lines)) <= 80


def test_evaluate_prints_and_writes_the_same_metrics(command, tmp_path):
    code, out, _ = command("--json", "--output", tmp_path / "out")
    assert code == 0
    assert json.loads(out) == json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert (tmp_path / "out" / "report.html").exists()


def test_evaluate_refuses_a_folder_with_results_before_it_starts(command, tmp_path):
    (tmp_path / "report.html").write_text("mine")
    code, out, err = command("--output", tmp_path)
    assert (code, out) == (2, "")
    assert "evaluating" not in err
    assert err.startswith("gnnpot: expected a new folder")
    assert (tmp_path / "report.html").read_text() == "mine"


def errors(energy: float, forces: float) -> dict[str, Any]:
    return {"energy": {"rmse": energy}, "forces": {"rmse": forces}, "stress": None, "split": "test"}


def test_a_transfer_is_told_where_it_is_worse_and_only_there():
    runs = {
        "transferred": {"time": 20.0, "failure": "two atoms on one spot"},
        "scratch": {"time": 50.0, "failure": ""},
    }
    result = {"baseline": errors(5.0, 90.0), "transferred": errors(6.0, 80.0), "scratch": errors(7.0, 70.0)}
    assert errors_in_words(result["baseline"]) == "RMSE energy 5 meV/atom, forces 90 meV/Å"
    assert verdict({**result, "stability": runs}) == [
        "energy worse than before training: RMSE 6 against 5 meV/atom on the test structures",
        "forces worse than trained from scratch: RMSE 80 against 70 meV/Å on the test structures",
        "dynamics last shorter than trained from scratch: 20 fs (two atoms on one spot) against 50 fs",
    ]
    assert verdict({**result, "baseline": None, "scratch": errors(6.0, 80.0)}) == []


@pytest.mark.parametrize(
    ("scratch", "sentence"),
    [
        (None, ""),
        (errors(8.0, 100.0), "cuts the RMSE of energy by 25 % and of forces by 20 % against training from"),
        (
            errors(8.0, 64.0),
            "cuts the RMSE of energy by 25 % against training from scratch, but raises that of forces by "
            "25 %.",
        ),
        (
            errors(5.0, 64.0),
            "does not help against training from scratch; it raises the RMSE of energy by 20 % and of forces "
            "by 25 %.",
        ),
        (errors(6.0, 80.0), "does not help against training from scratch; the errors are the same."),
    ],
)
def test_the_gain_over_scratch_is_a_sentence(scratch, sentence):
    source = {"source": "si.safetensors", "num_train": 18, "map": {"Ge": "Si"}}
    said = gain({**source, "transferred": errors(6.0, 80.0), "scratch": scratch})
    assert sentence in said
    assert said.startswith("With 18 structures, starting from silicon ") or not sentence
