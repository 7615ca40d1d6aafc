"""SchNetPack's SchNet."""

from __future__ import annotations

import tempfile
import typing
from importlib.metadata import version
from pathlib import Path
from unittest.mock import patch

import torch
import torch.utils.data.dataloader
from torch import nn

from adapters.base import CUTOFF, SCHNET, Adapter, Predicted

if not hasattr(torch.utils.data.dataloader, "T_co"):  # SchNetPack imports it from there; torch moved it
    torch.utils.data.dataloader.T_co = typing.TypeVar("T_co", covariant=True)

import schnetpack as spk
from schnetpack.interfaces import AtomsConverter, SpkCalculator
from schnetpack.transform import MatScipyNeighborList


class SchNetPack(Adapter):
    """SchNet with energy, forces and, for crystals, stress, as the library's examples put it together."""

    def build(self) -> nn.Module:
        """The model with the sizes of all."""
        width = SCHNET["channels"]
        schnet = spk.representation.SchNet(
            n_atom_basis=width,
            n_interactions=SCHNET["num_interactions"],
            radial_basis=spk.nn.GaussianRBF(n_rbf=SCHNET["num_basis"], cutoff=CUTOFF),
            cutoff_fn=spk.nn.CosineCutoff(CUTOFF),
        )
        strain = [spk.atomistic.Strain()] if self.periodic else []
        self.converter = AtomsConverter(neighbor_list=MatScipyNeighborList(CUTOFF), dtype=torch.float32)
        return spk.model.NeuralNetworkPotential(
            representation=schnet,
            input_modules=[*strain, spk.atomistic.PairwiseDistances()],
            output_modules=[
                spk.atomistic.Atomwise(n_in=width, output_key="energy"),
                spk.atomistic.Forces(calc_stress=self.periodic),
            ],
        )

    def collate(self) -> None:
        """Lists by the faster of its backends."""
        self.batch = self.converter(self.frames)

    def predict(self) -> Predicted:
        """Energy, forces and stress."""
        found = self.model({**self.batch, "_positions": self.batch["_positions"].clone()})
        return Predicted(found["energy"], found["forces"], found.get("stress"))

    def make_calculator(self) -> SpkCalculator:
        """That of the library, which takes a file alone and reads it as old torch did."""
        load = torch.load
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.pt"
            torch.save(self.model, path)
            with patch(
                "torch.load", lambda *given, **named: load(*given, **{**named, "weights_only": False})
            ):
                return SpkCalculator(
                    model_file=str(path),
                    neighbor_list=MatScipyNeighborList(CUTOFF),
                    stress_key="stress" if self.periodic else None,
                    energy_unit="eV",
                )

    def version(self) -> str:
        """Version of SchNetPack."""
        return f"schnetpack {version('schnetpack')}"
