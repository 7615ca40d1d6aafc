"""The ASE calculator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from ase.stress import full_3x3_to_voigt_6_stress
from torch import Tensor
from torch.autograd.graph import increment_version

from gnnpot.calculator.prediction import PredictingCalculator
from gnnpot.calculator.recording import Replay
from gnnpot.calculator.replicas import ReplicaCalculator
from gnnpot.errors import ConfigError
from gnnpot.graph.graph import AtomicGraph
from gnnpot.potential.committee import Committee, load_model, mean_prediction, spread_of
from gnnpot.potential.last_layer import UNCERTAINTY_FILE, Deviations, LastLayerUncertainty
from gnnpot.potential.potential import Potential, Prediction
from gnnpot.system.devices import choose_device
from gnnpot.system.memory import keep_freed_memory

DTypeName = Literal["float32", "float64"]
_DTYPES: dict[DTypeName, torch.dtype] = {"float32": torch.float32, "float64": torch.float64}
_COMMITTEE_PROPERTIES = [
    "energy_uncertainty", "energies_uncertainty", "forces_uncertainty", "energy_var", "forces_comm",
]  # fmt: skip


class GNNPotCalculator(PredictingCalculator):
    """Energy, forces and stress of a potential or a committee, for ASE.

    Results are in ASE's units and order: ``energy`` and ``free_energy`` (eV; the same), ``energies`` of
    the atoms (eV), ``forces`` (eV/Å), and with three periodic directions ``stress`` (Voigt, eV/Å³).  A
    committee gives the means and adds the standard deviations ``energy_uncertainty`` (eV),
    ``energies_uncertainty`` (N) and ``forces_uncertainty`` (N, 3) with M − 1 in the denominator, and under
    MACE's names ``energy_var`` (eV², with M) and ``forces_comm`` (M, N, 3), the forces of the members.  One
    potential with an ``uncertainty`` has the first two always, and the third when it is asked for by
    ``get_property``.

    A potential that is given, rather than a path, is copied: later training does not change the results.
    Steps of small structures are recorded and repeated (:mod:`gnnpot.calculator.recording`), with the same
    results.

    Args:
        model: Path of a model file or of the folder of a training, a potential, or several as a committee.
        device: ``auto`` is a GPU if there is one, else the CPU.
        default_dtype: Of the weights; that of the file if None.  float64 for phonons and tight
            relaxations, float32 for fast dynamics.
        skin: How much longer than the cutoff the edges of the neighbor list are (Å), so that it lasts
            for many steps.
        uncertainty: Folder of a training with ``uncertainty: last_layer``, or its file, for one potential.
        keep_memory: Have the process keep freed memory for the next step (:mod:`gnnpot.system.memory`), which
            makes steps of thousands of atoms up to twice as fast.  False leaves the allocator alone.

    Raises:
        ConfigError: An unknown dtype, or a negative skin.
        DeviceError: The device is not there.
        ModelFileError: A path leads to no whole model file.
    """

    name = "gnnpot"
    implemented_properties = ["energy", "free_energy", "energies", "forces", "stress"]  # noqa: RUF012
    takes_any_image = True  # atoms may lie outside the cell

    @torch.inference_mode(False)
    def __init__(
        self,
        model: str | Path | Potential | Committee | Sequence[str | Path | Potential],
        *,
        device: str = "auto",
        default_dtype: DTypeName | None = None,
        skin: float = 0.5,
        uncertainty: str | Path | None = None,
        keep_memory: bool = True,
    ) -> None:
        if keep_memory:
            keep_freed_memory()
        if default_dtype is not None and default_dtype not in _DTYPES:
            raise ConfigError(
                f"expected default_dtype {' or '.join(_DTYPES)}, got {default_dtype!r}; use one"
            )
        if not skin >= 0:
            raise ConfigError(f"expected a skin of at least 0 Å, got {skin}; use about 0.5")
        dtype = None if default_dtype is None else _DTYPES[default_dtype]
        place = choose_device(device)
        resident = _unsure(_resident(model, dtype), uncertainty).to(place).eval().requires_grad_(False)
        function: Callable[[AtomicGraph], Any] = resident
        if isinstance(resident, Committee):
            function = resident.predictions
        elif isinstance(resident, LastLayerUncertainty):
            function = resident.prediction_with_deviations
        super().__init__(resident, function, skin=skin, device=place)
        if isinstance(resident, LastLayerUncertainty):
            self._further = {"forces_uncertainty": Replay(resident.deviations)}
        more = {Committee: _COMMITTEE_PROPERTIES, LastLayerUncertainty: _COMMITTEE_PROPERTIES[:3]}
        self.implemented_properties = [*self.implemented_properties, *more.get(type(resident), [])]

    def replicas(self, copies: int) -> ReplicaCalculator:
        """A calculator of so many copies of a structure as one batch, with the potential of this one."""
        return ReplicaCalculator(self.potential, copies, skin=self._neighbors.skin, device=self.device)

    def forget(self) -> None:
        """Forget all that was made of the weights; call it after writing into them behind torch's back."""
        self.reset()
        increment_version([*self.potential.parameters(), *self.potential.buffers()])

    @torch.inference_mode(False)
    def computed(self) -> dict[str, Any]:
        """All that the potential says of ``self.atoms``.

        Raises:
            DataError: An element that the potential was not made for, two atoms on one spot, positions
                that are not finite, or a periodic cell without a volume.
        """
        said = self.predicted()
        if isinstance(self.potential, Committee):
            results = _results(mean_prediction(said)) | _committee_results(said)
        elif isinstance(self.potential, LastLayerUncertainty):
            results = _results(said[0]) | _energy_deviations(said[1])
        else:
            results = _results(said)
        if self.atoms.pbc.all():  # else ASE says that it is not implemented
            results["stress"] = full_3x3_to_voigt_6_stress(results.pop("stress")[0])
        else:
            del results["stress"]
        return results

    @torch.inference_mode(False)
    def more(self, names: Sequence[str]) -> dict[str, Any]:
        """The deviations of forces of one potential with an uncertainty, which cost derivatives."""
        asked = [name for name in names if name in self._further]
        return {name: _array(self._said_by(self._further[name]).forces) for name in asked}


def _unsure(
    model: Potential | Committee, uncertainty: str | Path | None
) -> Potential | Committee | LastLayerUncertainty:
    """The model with its uncertainty, if one is named."""
    if uncertainty is None:
        return model
    if isinstance(model, Committee):
        raise ConfigError("expected one potential for an uncertainty of its own, got a committee; drop one")
    path = Path(uncertainty)
    return LastLayerUncertainty.read(path / UNCERTAINTY_FILE if path.is_dir() else path, model)


def _resident(model: Any, dtype: torch.dtype | None) -> Potential | Committee:
    """The potential or committee in memory, with weights of ``dtype``, that nobody else holds."""
    if isinstance(model, str | Path):
        return load_model(model, dtype=dtype)
    if not isinstance(model, Potential | Committee):
        return Committee([_resident(member, dtype) for member in model])
    potential = deepcopy(model)
    for member in potential.potentials if isinstance(potential, Committee) else [potential]:
        if dtype is not None:
            member.model.to(dtype)
    return potential


def _results(prediction: Prediction) -> dict[str, Any]:
    energy = prediction.energy.item()
    return {
        "energy": energy,
        "free_energy": energy,
        "energies": _array(prediction.atomic_energies),
        "forces": _array(prediction.forces),
        "stress": _array(prediction.stress),
    }


def _committee_results(predictions: Sequence[Prediction]) -> dict[str, Any]:
    spread = spread_of(predictions)
    return {
        "energy_uncertainty": spread.energy.item(),
        "energies_uncertainty": _array(spread.atomic_energies),
        "forces_uncertainty": _array(spread.forces),
        "energy_var": np.var([prediction.energy.item() for prediction in predictions]).item(),
        "forces_comm": np.stack([_array(prediction.forces) for prediction in predictions]),
    }


def _energy_deviations(found: Deviations) -> dict[str, Any]:
    return {
        "energy_uncertainty": found.energy.item(),
        "energies_uncertainty": _array(found.atomic_energies),
    }


def _array(values: Tensor) -> np.ndarray:
    """A new float64 array."""
    return np.array(values.cpu().numpy(), dtype=np.float64)
