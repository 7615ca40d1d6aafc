"""Potentials of another element as the beginning of potentials of this one, which has no labels yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from ase import Atoms

from gnnpot.data.dataset import GraphDataset
from gnnpot.data.store import GraphStore
from gnnpot.errors import ConfigError
from gnnpot.models import MODEL_CONFIGS
from gnnpot.potential.folder import member_files
from gnnpot.potential.header import read_header
from gnnpot.potential.model_file import load_potential, save_potential
from gnnpot.system.files import file_hash, make_folder, text_hash
from gnnpot.transferring.config import ElementChange, check_model
from gnnpot.transferring.element_map import resolve_element_map
from gnnpot.transferring.start import fit_references
from gnnpot.transferring.weights import carried

MEMBER = "{member}.safetensors"


def with_model_of(source: str, potential: Mapping[str, Any], change: ElementChange) -> dict[str, Any]:
    """The values of a potential section, with model and repulsion of the source.

    Args:
        source: Model file, or the folder of a training of one potential or a committee.
        potential: Values of the section; a model in it must be that of the source.
        change: Lattice scale.

    Raises:
        ConfigError: Another model, or members of a committee that are not of one model.
        ModelFileError: The source is no whole model file.
    """
    headers = [read_header(file) for file in member_files(source)]
    models = [{**header.model, "elements": []} for header in headers]
    if any(model != models[0] for model in models):
        raise ConfigError(f"expected members of one model to start from, got several in {source}; name one")
    scaled = MODEL_CONFIGS[str(models[0]["kind"])].model_validate(models[0]).scaled(change.length_scale)
    model = scaled.model_dump(mode="json")
    check_model(potential.get("model") or {}, model, source)
    repulsion = headers[0].repulsion
    said = None if repulsion is None else {"reach": repulsion.reach}
    return {"repulsion": said, **potential, "model": model}


def source_hash(source: str) -> str:
    """One hash of the files of a source."""
    return text_hash(" ".join(file_hash(file) for file in member_files(source)))


def carry_source(
    source: str,
    change: ElementChange,
    *,
    elements: Sequence[str],
    folder: Path,
    labeled: Sequence[Atoms] = (),
    count: int | None = None,
) -> list[Path]:
    """Write the potentials of the source for other elements.

    Args:
        source: Model file, or the folder of a training.
        change: Origin of the elements, and the lattice scale.
        elements: Elements of the target.
        folder: Folder for the files ``0.safetensors``, ….
        labeled: Structures whose energies the reference energies are fitted to; these are zero without.
        count: Number of files, of each member of the source in turn; one for each if None.

    Returns:
        The files.

    Raises:
        ConfigError: The map does not fit, or an element starts fresh.
    """
    make_folder(folder)
    files, written = member_files(source), list[Path]()
    for number in range(count or len(files)):
        file = files[number % len(files)]
        old = load_potential(file, dtype=torch.float64)
        resolved = resolve_element_map(change.map, source=old.elements, target=elements)
        if resolved.fresh:
            raise ConfigError(
                f"expected elements that start from the source, got {', '.join(resolved.fresh)} fresh; name "
                "an origin in map"
            )
        potential = carried(old, resolved, length_scale=change.length_scale)
        if labeled:
            store = GraphStore.in_memory(labeled, potential.cutoff)
            fit_references(potential, GraphDataset(store, range(len(store)), dtype=torch.float64))
        path = folder / MEMBER.format(member=number)
        save_potential(potential, path, provenance={"source": source, "map": resolved.words})
        written.append(path)
    return written
