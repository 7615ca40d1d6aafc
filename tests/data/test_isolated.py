"""Isolated atoms of one element have one energy, in whatever files of a run they are."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from inspection_examples import copper, frame

from gnnpot.data.checks.isolated import check_same_isolated
from gnnpot.data.store import GraphStore
from gnnpot.data.structure_set import Structures
from gnnpot.errors import DataError
from gnnpot.training.run_config import RunConfig
from gnnpot.training.run_graphs import read_graphs


def isolated(energy: float, *, file: str = "a.xyz", **values: float) -> Atoms:
    atoms = Atoms("Cu", info={"config_type": "IsolatedAtom"})
    return frame(atoms, 7, file, energy=energy, forces=np.zeros((1, 3)), **values)


def crystals(count: int) -> list[Atoms]:
    return list(copper(count, strain=0.02, rattle=0.05))


def test_rounding_is_no_difference_and_another_element_is_another():
    stores = [GraphStore.in_memory([isolated(energy)], 4.0) for energy in (-0.5, -0.50004)]
    check_same_isolated([*stores, GraphStore.in_memory(crystals(2), 4.0)])


def test_two_energies_in_two_files_are_a_fault_that_names_both():
    atoms = isolated(-0.5), isolated(-0.6, file="b.xyz")
    stores = [GraphStore.in_memory([one], 4.0) for one in atoms]
    with pytest.raises(
        DataError, match=r"isolated Cu, got -0.5 eV in a.xyz:7 and -0.6 eV in b.xyz:7; remove"
    ):
        check_same_isolated(stores)


@pytest.mark.parametrize("name", ["validation", "test"])
def test_a_run_refuses_them_wherever_they_are(name, tmp_path):
    config = RunConfig.from_dict(
        {"model": {"kind": "schnet"}, "train": "memory:", name: "memory:"}, source="test"
    )
    sets = {"train": [*crystals(3), isolated(-0.5)], name: [*crystals(5)[3:], isolated(-0.6)]}
    with pytest.raises(DataError, match="expected one energy of an isolated Cu"):
        read_graphs(config, tmp_path, cutoff=4.0, structures=Structures(**sets))
