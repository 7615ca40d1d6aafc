"""The libraries that are measured, a module each; importing this package imports none of them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from adapters.base import Adapter


class Peer(NamedTuple):
    """Where a library is and what drives it.

    Attributes:
        adapter: Module of this package, and its class.
        environment: Name of its environment; None is that of gnnpot.
        tasks: What it is measured at.
    """

    adapter: str
    environment: str | None = None
    tasks: tuple[str, ...] = ("train", "train_list", "md")


PEERS = {
    "gnnpot": Peer("own:Own"),
    "pyg": Peer("pyg:PyG"),
    "schnetpack": Peer("schnetpack:SchNetPack", "schnetpack"),
    "graph-pes": Peer("graph_pes:GraphPES", "graph-pes"),
    "torchani": Peer("torchani:TorchANI", "torchani"),
    "torchani-flat": Peer("torchani:FlatTorchANI", "torchani", ("train", "train_list")),
    "nequip": Peer("nequip:NequIP", "nequip"),
    "mace": Peer("mace:MACE", "mace"),
    "matgl": Peer("matgl:MatGL", "matgl"),
}
ARCHITECTURES = {
    "schnet": ("gnnpot", "pyg", "schnetpack", "graph-pes"),
    "schnet-interpolated": ("gnnpot", "pyg", "schnetpack", "graph-pes"),  # only gnnpot interpolates
    "dimenet32": ("gnnpot", "pyg"),
    "dimenet128": ("gnnpot", "pyg"),
    "ani": ("gnnpot", "torchani", "torchani-flat"),
    "nequip": ("gnnpot", "nequip"),
    "mace": ("mace",),
    "m3gnet": ("matgl",),
}


def load_adapter(peer: str) -> type[Adapter]:
    """The adapter of a library, which is imported with it."""
    module, name = PEERS[peer].adapter.split(":")
    return getattr(import_module(f"adapters.{module}"), name)
