"""Keys of labels: hashes of structure and reference method."""

from __future__ import annotations

from typing import NamedTuple

from ase import Atoms

from gnnpot.data.reading import content_hash
from gnnpot.engines import EngineConfig
from gnnpot.labeling.labeler import Outcome
from gnnpot.system.files import text_hash


class Method(NamedTuple):
    """Identity of a reference method in the store.

    Args:
        name: Kind of the engine.
        identity: All that decides its results.
    """

    name: str
    identity: str

    @property
    def hash(self) -> str:
        """SHA-256 of the identity."""
        return text_hash(self.identity)

    def key(self, atoms: Atoms) -> str:
        """Key of the label of ``atoms`` by this method."""
        return text_hash(f"{content_hash(atoms)} {self.hash}")


def method_of(engine: EngineConfig) -> Method:
    """The identity of a reference method, contents of its files included.

    Raises:
        EngineError: A file is missing.
    """
    return Method(engine.kind, engine.identity_text())


class Record(NamedTuple):
    """A structure with its label or failure."""

    key: str
    atoms: Atoms
    outcome: Outcome
