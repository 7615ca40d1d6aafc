"""One switch turns compiled loops off."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from gnnpot.kernels.dispatch import fusible, plain_torch

pytest.importorskip("numba")
CALL = "import torch; from gnnpot.kernels.dispatch import fusible; print(fusible(torch.ones(1)))"


def test_compiled_loops_are_off_inside_the_block_alone():
    assert fusible(torch.ones(1))
    with plain_torch():
        assert not fusible(torch.ones(1))
    assert fusible(torch.ones(1))


@pytest.mark.parametrize(("value", "answer"), [("torch", "False"), ("compiled", "True")])
def test_an_environment_variable_turns_them_off_for_a_process(value, answer):
    said = subprocess.check_output([sys.executable, "-c", CALL], env={**os.environ, "GNNPOT_KERNELS": value})
    assert said.decode().strip() == answer
