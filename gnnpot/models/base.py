"""What every model is: a sum of atomic energies."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping
from typing import Any, ClassVar

import torch
from ase.data import atomic_numbers as number_of
from ase.data import chemical_symbols
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch_geometric.utils import scatter

from gnnpot.config.registry import Registry
from gnnpot.errors import ConfigError, DataError
from gnnpot.graph.graph import AtomicGraph
from gnnpot.models.axes import ROWS, Axes
from gnnpot.models.config import ModelConfig as ModelConfig


class AtomicEnergyModel(nn.Module, ABC):
    """A model of the potential energy as a sum of atomic energies.

    A subclass says only how the atomic energies arise.  It computes no forces, moves no tensors between
    devices and changes no field of the graph; :class:`~gnnpot.potential.potential.Potential` turns its
    energies into forces and stress.  Positions enter through the functions of
    :mod:`gnnpot.graph.geometry` alone.
    """

    Config: ClassVar[type[ModelConfig]]
    GROUPS: ClassVar[Mapping[str, str]] = {}  # of parameters, for children that do not name their own
    FEW_PAIRS: ClassVar[int] = 512  # up to which dynamics takes its time for operations, not for their size
    config: Any  # of the class that stands beside the subclass
    _row_of_number: Int[Tensor, "119"]

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        if not config.elements:
            raise ConfigError(f"expected the elements of a {config.kind} model, got none; name them or train")
        self.config = config.filled({})  # nothing is left to data that a model does not see
        rows = torch.full((119,), -1, dtype=torch.int64)
        rows[[number_of[symbol] for symbol in config.elements]] = torch.arange(len(config.elements))
        self.register_buffer("_row_of_number", rows, persistent=False)

    @property
    def cutoff(self) -> float:
        """Longest edge the model needs (Å)."""
        return float(self.config.cutoff)

    @property
    def num_parameters(self) -> int:
        """Number of weights that can be trained."""
        return sum(parameter.numel() for parameter in self.parameters())

    @abstractmethod
    def atomic_energies(self, graph: AtomicGraph) -> Float[Tensor, "N"]:
        """Energy of each atom in its environment (in units of the potential's scale)."""

    def prepare(self, graphs: Iterable[AtomicGraph]) -> None:
        """Take fixed scales from the training graphs, once before training; most models need none."""

    def element_axes(self) -> dict[str, Axes]:
        """Which axes of which parameters and buffers index the elements; by default rows of embeddings.

        A ``*`` in a name stands for the number of an element, of which each has a tensor of its own;
        axis 0 then counts these tensors.
        """
        embeddings = [name for name, module in self.named_modules() if isinstance(module, nn.Embedding)]
        return {f"{name}.weight": ROWS for name in embeddings}

    def forget(self, elements: Collection[str]) -> None:
        """Prepare for never seeing atoms of these elements; most models have nothing to do."""

    def parameter_groups(self) -> dict[str, list[str]]:
        """Names of all parameters by group, from input to output, to be frozen or trained apart."""
        groups: dict[str, list[str]] = {}
        for name, _ in self.named_parameters():
            child, _, rest = name.partition(".")
            group = self.GROUPS.get(child, child)
            if group == child and isinstance(getattr(self, child), nn.ModuleList):
                group = f"{child.removesuffix('s')} {int(rest.partition('.')[0]) + 1}"
            groups.setdefault(group, []).append(name)
        return groups

    def element_rows(self, graph: AtomicGraph) -> Int[Tensor, "N"]:
        """Place of each atom's element in ``config.elements``.

        Raises:
            DataError: The model does not know an element.
        """
        rows = self._row_of_number[graph.atomic_numbers]
        if (rows < 0).any():
            unknown = graph.atomic_numbers[rows < 0].unique().tolist()
            raise DataError(
                f"expected atoms of {', '.join(self.config.elements)}, got "
                f"{', '.join(chemical_symbols[number] for number in unknown)}; use a model that was trained "
                "on them"
            )
        return rows


MODELS: Registry[type[AtomicEnergyModel]] = Registry("model")


def build_model(config: ModelConfig, elements: tuple[str, ...] = ()) -> AtomicEnergyModel:
    """The model that ``config`` describes; ``elements`` fill in for those it does not name.

    Raises:
        ConfigError: The configuration names elements, and some of ``elements`` are not among them.
    """
    unknown = set(elements) - set(config.elements)
    if config.elements and unknown:
        raise ConfigError(
            f"expected the data's elements in model.elements ({', '.join(config.elements)}), "
            f"got also {', '.join(sorted(unknown))}; add them or leave model.elements out"
        )
    if not config.elements:
        config = config.model_copy(update={"elements": elements})
    return MODELS[config.kind](config)


def sum_over_structures(values: Float[Tensor, "N"], graph: AtomicGraph) -> Float[Tensor, "B"]:
    """Sum of atomic values over each structure."""
    if graph.num_structures == 1:
        return values.sum(0, keepdim=True)
    return scatter(values, graph.batch, dim_size=graph.num_structures)
