"""Keys of labels: hashes of structure and reference method."""

from __future__ import annotations

import hashlib
import json
from typing import NamedTuple

from ase import Atoms

from gnnpot.data.reading import content_hash
from gnnpot.engines import EngineConfig
from gnnpot.labeling.labeler import Outcome


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
        return hashlib.sha256(self.identity.encode()).hexdigest()

    def key(self, atoms: Atoms) -> str:
        """Key of the label of ``atoms`` by this method."""
        return hashlib.sha256(f"{content_hash(atoms)} {self.hash}".encode()).hexdigest()


def method_of(engine: EngineConfig) -> Method:
    """The identity of a reference method, contents of its files included.

    Raises:
        EngineError: A file is missing.
    """
    return Method(engine.kind, json.dumps(engine.identity(), sort_keys=True))


class Record(NamedTuple):
    """A structure with its label or failure."""

    key: str
    atoms: Atoms
    outcome: Outcome
