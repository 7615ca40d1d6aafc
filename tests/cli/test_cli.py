"""Help, templates, schemas and JSON of the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import yaml
from ase.io import read, write
from cli_examples import DEMO
from jsonschema import Draft202012Validator
from potentials import small_potential

from gnnpot.config.base import shipped_configs
from gnnpot.potential.model_file import save_potential


def test_a_full_disk_while_a_checkpoint_is_written(config, tmp_path):
    """The file size limit of the process stands for the disk; the checkpoint that was there survives."""
    path = tmp_path / "config.yaml"
    config["training"] = {"max_epochs": 2}
    path.write_text(yaml.safe_dump(config))
    output = tmp_path / "run"
    code = "from gnnpot.cli import main; main()"
    words = [sys.executable, "-c", code, "train", str(path), "--output", str(output)]
    subprocess.run(words, check=True, capture_output=True)
    before = (output / "last.ckpt").read_bytes()
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))\n"
    limit += "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    words = [sys.executable, "-c", limit + code, *words[3:], "--resume", "training.max_epochs=3"]
    assert len(before) > 9000
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert [line for line in done.stderr.splitlines() if line.startswith("gnnpot: expected to write")]
    assert (output / "last.ckpt").read_bytes() == before


def test_a_wrong_command_names_the_nearest(command):
    code, _, err = command("trian")
    assert code == 2
    assert "train" in err.replace("trian", "")


def test_json_is_all_that_stdout_holds(command, config, tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    code, out, _ = command("train", path, "--output", tmp_path / "run", "--json")
    assert code == 0
    assert json.loads(out) == json.loads((tmp_path / "run" / "metrics.json").read_text())
    code, out, _ = command("evaluate", tmp_path / "run" / "model.safetensors", DEMO, "--json")
    assert json.loads(out)["num_structures"] == 200


@pytest.mark.parametrize(
    "words",
    [
        ["template"],
        ["template", "demo"],
        ["template", "ani"],
        ["template", "md"],
        ["schema"],
        ["models"],
        ["models", "--json"],
    ],
)
def test_what_prints_prints(command, words):
    code, out, _ = command(*words)
    assert code == 0
    assert len(out) > 100


def test_structures_in_place_of_a_configuration_train_nothing(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write("data.xyz", read(DEMO, ":3"))
    code, out, err = command("train", "data.xyz")
    assert (code, out, err.count("\n"), len(err) < 200) == (2, "", 1, True)
    assert "type: gnnpot init data.xyz > run.yaml" in err
    assert not (tmp_path / "run").exists()


def test_no_ready_configuration_names_a_file_of_ours():
    for path in shipped_configs().values():
        assert "shared" not in path.read_text()
        assert ".." not in path.read_text()


def test_a_template_is_named_with_its_folder_or_without(command):
    _, listed, _ = command("template")
    assert {"demo", "labeling/eam", "sampling/steered"} <= {line.split()[0] for line in listed.splitlines()}
    assert command("template", "eam") == command("template", "labeling/eam")
    code, out, err = command("template", "labeling/eem")
    assert (code, out) == (2, "")
    assert "did you mean 'labeling/eam'" in err


@pytest.mark.parametrize("name", shipped_configs())
def test_the_schema_knows_every_ready_configuration_and_refuses_unknown_keys(command, name):
    folders = {
        "labeling": "label", "sampling": "sample", "low2high": "transfer", "transfer-ge": "transfer",
        "learn": "learn", "distill": "distill",
    }  # fmt: skip
    _, out, _ = command("schema", folders.get(name.partition("/")[0], "train"))
    schema = Draft202012Validator(json.loads(out))
    values = yaml.safe_load(shipped_configs()[name].read_text())
    assert [fault.message for fault in schema.iter_errors(values)] == []
    for section in ("model", "method", "calculator"):
        if section in values:
            wrong = {**values, section: {**values[section], "unheard": 1}}
            assert not schema.is_valid(wrong)
            assert not schema.is_valid({**values, section: {"kind": "unheard"}})
    assert not schema.is_valid({**values, "unheard": 1})


def test_help_does_not_wait_for_torch():
    code = "import sys; sys.argv = ['gnnpot', '--help']; from gnnpot.cli import main\ntry: main()\n"
    code += (
        "finally: print(sorted({'torch', 'lightning', 'ase', 'numpy'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
    assert "validate" in done.stdout


@pytest.mark.parametrize(
    ("words", "config"),
    [
        (["train"], "demo"), (["transfer", "--from", "none"], "transfer-ge"), (["label"], "labeling/eam"),
        (["sample"], "sampling/md"), (["learn"], "learn/hexane"), (["distill"], "distill/nickel"),
        (["benchmark", "transfer", "--from", "none"], "transfer-ge"),
    ],
)  # fmt: skip
def test_wrong_keys_do_not_wait_for_torch(words, config):
    call = ["gnnpot", *words, str(shipped_configs()[config]), "unheard=1"]
    code = f"import sys; sys.argv = {call}; from gnnpot.cli import main\ntry: main()\n"
    code += "finally: print(sorted({'torch', 'numba', 'matplotlib'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "unheard" in done.stderr
    assert (done.returncode, done.stdout.strip()) == (2, "[]")


def test_what_is_in_a_model_file_is_told_without_torch(tmp_path):
    save_potential(small_potential(), tmp_path / "model.safetensors")
    call = ["gnnpot", "info", str(tmp_path)]
    code = f"import sys; sys.argv = {call}; from gnnpot.cli import main\ntry: main()\n"
    code += "finally: print(sorted({'torch', 'numba', 'matplotlib'} & set(sys.modules)), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
    assert f"{small_potential().model.num_parameters:,} parameters" in done.stdout


def test_help_comes_within_half_a_second():
    words = [
        sys.executable,
        "-c",
        "import sys; sys.argv = ['gnnpot', '--help']; from gnnpot.cli import main; main()",
    ]
    spent = []
    for _ in range(3):  # the least of them, as other work on the machine shares its caches
        before = os.times()
        subprocess.run(words, capture_output=True, check=True)
        now = os.times()
        user, system = now.children_user - before.children_user, now.children_system - before.children_system
        spent.append(user + system)
    assert min(spent) < 0.5
