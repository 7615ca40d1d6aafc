"""The potential that is trained again and again on structures that nobody names beforehand."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from gnnpot.data.files import DataFile, DataFiles
from gnnpot.data.reading import MEMORY
from gnnpot.data.split import SplitConfig
from gnnpot.training.run_config import RunConfig


class PotentialConfig(RunConfig):
    """Model, training and validation, as in a training run.

    Args:
        train: Files of labeled structures that are there from the beginning.
    """

    train: DataFiles = (DataFile(path=MEMORY),)

    @property
    def labeled_files(self) -> tuple[DataFile, ...]:
        """The labeled files that the user has given."""
        return tuple(file for file in self.train if file.path != MEMORY)

    @model_validator(mode="after")
    def _of_several(self) -> Self:
        for name in ("members", "start"):
            if getattr(self, name) is not None:
                raise ValueError(f"expected no {name} in potential, got some; members stands beside it")
        if not isinstance(self.validation, SplitConfig):
            raise ValueError("expected a share of the structures for validation, got files; remove them")
        return self
