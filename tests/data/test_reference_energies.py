"""Reference energies come from where the user expects, and say so."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnnpot.data.reference_energies import composition, reference_energies, root_mean_square, undetermined
from gnnpot.errors import DataError

TRUE = {"H": -13.6, "O": -430.0, "Si": -105.0}
counts = st.fixed_dictionaries({symbol: st.integers(0, 5) for symbol in TRUE}).filter(
    lambda c: sum(c.values())
)


def energy(structure: dict[str, int]) -> float:
    return sum(TRUE[symbol] * count for symbol, count in structure.items())


@given(st.lists(counts, min_size=1, max_size=12))
def test_least_squares_finds_the_energies_that_the_compositions_fix(structures):
    references = reference_energies(structures, [energy(c) for c in structures])
    rank = np.linalg.matrix_rank([[c[symbol] for symbol in TRUE] for c in structures])
    present = {symbol for c in structures for symbol, count in c.items() if count}
    assert set(references.values) == present
    for structure in structures:  # exact on the data, whatever the rank
        predicted = sum(references.values[symbol] * structure[symbol] for symbol in present)
        assert predicted == pytest.approx(energy(structure), rel=1e-9)
    assert ("smallest norm" in references.source) == (rank < len(present))
    if rank == len(present):
        assert references.values == pytest.approx({symbol: TRUE[symbol] for symbol in present})


def test_one_compound_alone_does_not_tell_its_elements_apart():
    references = reference_energies([{"Si": 1, "O": 2}, {"Si": 2, "O": 4}], [-965.0, -1930.0])
    assert references.source == (
        "least squares over 2 structures, smallest norm: their compositions fix 1 of 2 values; add isolated "
        "atoms of O, Si, or give reference_energies"
    )
    assert references.values == pytest.approx({"Si": -193.0, "O": -386.0})


def test_the_open_elements_are_those_that_other_compositions_do_not_fix():
    silica, silicon, water = {"Si": 1, "O": 2}, {"Si": 8}, {"H": 2, "O": 1}
    assert undetermined([silica, {"Si": 4, "O": 8}]) == ["O", "Si"]
    assert undetermined([silica, silicon]) == []
    assert undetermined([silica, water]) == ["H", "O", "Si"]
    assert undetermined([silica, water], known=["H"]) == []
    assert undetermined([silicon, {"Cu": 3, "Zr": 3}]) == ["Cu", "Zr"]
    assert undetermined([]) == []


def test_given_comes_before_isolated_and_isolated_before_least_squares():
    structures = [{"H": 2, "O": 1}, {"Si": 1, "O": 2}, {"Si": 1, "H": 4}]
    energies = [energy(c) for c in structures]
    references = reference_energies(
        structures, energies, isolated={"H": -13.0, "Si": -100.0}, given={"Si": -105.0}
    )
    assert references.values["H"] == -13.0
    assert references.values["Si"] == -105.0
    assert references.source == "H: isolated atoms; Si: given; O: least squares over 2 structures"
    # O minimizes ((E₁ + 26 − O)/3)² + ((E₂ + 105 − 2 O)/3)²
    assert references.values["O"] == pytest.approx((energies[0] + 26 + 2 * (energies[1] + 105)) / 5)


def test_elements_of_the_data_alone_are_named():
    references = reference_energies([{"H": 2}], [-27.0], given={"H": -13.5, "Pu": 1.0})
    assert references.values == {"H": -13.5}
    assert references.source == "given"
    assert reference_energies([{"H": 2}], [-27.0], isolated={"H": -13.5}).source == "isolated atoms"


def test_least_squares_weigh_structures_by_energy_per_atom():
    references = reference_energies([{"Si": 1}, {"Si": 100}], [-104.0, -10600.0])
    assert references.values["Si"] == pytest.approx(-105.0)


def test_an_element_without_any_energy_is_refused():
    with pytest.raises(DataError, match="with H, O, got none; add isolated atoms of H, O, or give"):
        reference_energies([], [], elements=["O", "H"])
    with pytest.raises(DataError, match="with O, got none"):
        reference_energies([{"H": 2}], [-27.0], elements=["H", "O"])
    assert reference_energies([], [], isolated={"O": -430.0}, elements=["O"]).values == {"O": -430.0}


def test_composition_counts_symbols():
    assert composition(["O", "H", "H"]) == {"H": 2, "O": 1}


def test_the_scale_is_the_root_mean_square_of_all_components():
    assert root_mean_square([np.array([[3.0, 0, 0]]), np.array([[0, 4.0, 0]])]) == pytest.approx(
        np.sqrt(25 / 6)
    )
    with pytest.raises(DataError, match="got none"):
        root_mean_square([])
