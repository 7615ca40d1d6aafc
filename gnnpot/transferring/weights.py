"""Carry the weights of a trained potential to other elements, lengths and energies."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from gnnpot.errors import ConfigError
from gnnpot.models import MODELS, AtomicEnergyModel
from gnnpot.models.axes import Axes, Blocks
from gnnpot.potential.potential import Potential
from gnnpot.transferring.element_map import ElementMap

_STACKED = "*"  # in a name: one tensor for each element


@torch.no_grad()
def carry(source: AtomicEnergyModel, fresh: AtomicEnergyModel, elements: ElementMap) -> None:
    """Fill ``fresh`` with the weights of ``source``, element by element as the map says.

    A block of a tensor that belongs to an element becomes the weighted sum of the source's blocks; one
    that belongs to an unordered pair becomes the sum over pairs with products of weights.  What belongs
    to an element that starts fresh stays as it is.  Everything else is copied.

    Args:
        source: A trained model.
        fresh: A new model of the same sizes for the elements of the target.
        elements: The map between them.

    Raises:
        ConfigError: A tensor depends on the elements in a way that the model does not declare.
    """
    source = deepcopy(source)
    source.forget(elements.dropped)
    matrices = _matrices(torch.from_numpy(elements.matrix))
    is_fresh = torch.tensor([symbol in elements.fresh for symbol in elements.target])
    axes, old, new = fresh.element_axes(), source.state_dict(), fresh.state_dict()
    layouts = {**source.element_axes(), **axes}
    for names in _named(layouts, old, new):
        _carry_tensor(names, old, new, layouts=layouts, matrices=matrices, is_fresh=is_fresh)
    fresh.load_state_dict(new)


@torch.no_grad()
def carry_constants(source: AtomicEnergyModel, target: AtomicEnergyModel, scale: float) -> None:
    """Give ``target`` the constants of ``source`` to the last digit; those that are lengths times ``scale``.

    Constants are buffers that no state holds.  Which of them are lengths is seen from what the
    configuration of ``target`` makes of them.
    """
    state, originals = target.state_dict(), dict(source.named_buffers())
    for name, buffer in target.named_buffers():
        original = originals.get(name)
        if name in state or original is None or original.shape != buffer.shape:
            continue
        if not buffer.is_floating_point():
            continue
        for factor in (1.0, scale):
            exact = factor * original.double()
            if torch.allclose(buffer.double(), exact, rtol=1e-5, atol=1e-6):
                buffer.copy_(exact)
                break


def carried_model(
    source: AtomicEnergyModel, fresh: AtomicEnergyModel, elements: ElementMap, *, length_scale: float = 1.0
) -> AtomicEnergyModel:
    """``fresh`` with the weights and constants of ``source``; its energies at s·r are those at r.

    Args:
        source: A trained model.
        fresh: A new one whose configuration is that of the source, scaled, for the target's elements.
        elements: The map between the elements.
        length_scale: s, by which the configuration was scaled.
    """
    carry(source, fresh, elements)
    carry_constants(source, fresh, length_scale)
    return fresh


def carried(
    source: Potential, elements: ElementMap, *, length_scale: float = 1.0, energy_scale: float = 1.0
) -> Potential:
    """The source potential for other elements, with zero reference energies.

    Args:
        source: A trained potential.
        elements: Origin of the weights of each element; none may be fresh.
        length_scale: s; what the source sees at r the result sees at s·r.
        energy_scale: Multiplies all interaction energies.
    """
    config = source.model.config.scaled(length_scale).model_copy(update={"elements": elements.target})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        fresh = MODELS[config.kind](config).to(source.dtype)
    model = carried_model(source.model, fresh, elements, length_scale=length_scale)
    zeros = dict.fromkeys(elements.target, 0.0)
    scale = energy_scale * float(source.scale)
    return Potential(model, zeros, scale=scale, repulsion=source.repulsion)


def _named(layouts: Mapping[str, Axes], old: Mapping[str, Tensor], new: Mapping[str, Tensor]) -> list[str]:
    """Names of tensors, with a star for those of which each element has one."""
    stacked = [name for name in layouts if _STACKED in name]
    covered = {name for pattern in stacked for state in (old, new) for name in _members(pattern, state)}
    return [*stacked, *(name for name in new if name not in covered)]


def _members(pattern: str, state: Mapping[str, Tensor]) -> list[str]:
    """Names that a pattern stands for, in the order of the elements."""
    head, _, tail = pattern.partition(_STACKED)
    names, number = [], 0
    while f"{head}{number}{tail}" in state:
        names.append(f"{head}{number}{tail}")
        number += 1
    return names


def _carry_tensor(
    name: str,
    old: Mapping[str, Tensor],
    new: dict[str, Tensor],
    *,
    layouts: Mapping[str, Axes],
    matrices: Mapping[str, Float[Tensor, "T S"]],
    is_fresh: Bool[Tensor, "T"],
) -> None:
    axes = layouts.get(name, {})
    if _STACKED in name:
        names = _members(name, new)
        start = torch.stack([old[member] for member in _members(name, old)])
        end = torch.stack([new[member] for member in names])
    else:
        names, start, end = [name], old.get(name, torch.empty(0)), new[name]
    value = start
    if start.is_floating_point():
        value = _mapped(start.double(), axes, matrices)
    if value.shape != end.shape:
        raise ConfigError(
            f"expected {name} of the source to fit {list(end.shape)}, got {list(value.shape)}; the model "
            "declares no element axes for it, or its sizes differ"
        )
    value = torch.where(_fresh_part(end, axes, is_fresh), end, value.to(end.dtype))
    new.update(zip(names, value if _STACKED in name else [value], strict=True))


def _mapped(value: Tensor, axes: Axes, matrices: Mapping[str, Float[Tensor, "T S"]]) -> Tensor:
    num_elements = matrices["element"].shape[1]
    for axis, layout in axes.items():
        moved = value.movedim(axis, 0)
        parts = torch.split(moved, [blocks.size(num_elements) for blocks in layout])
        mapped = [_blocks(part, blocks, matrices) for part, blocks in zip(parts, layout, strict=True)]
        value = torch.cat(mapped).movedim(0, axis)
    return value


def _blocks(part: Tensor, blocks: Blocks, matrices: Mapping[str, Float[Tensor, "T S"]]) -> Tensor:
    matrix = matrices[blocks.of]
    if blocks.shared:
        matrix = matrix / matrix.sum(0).clamp(min=torch.finfo(matrix.dtype).tiny)
    opened = part.reshape(blocks.outer, matrix.shape[1], blocks.width, *part.shape[1:])
    return torch.einsum("ts,osw...->otw...", matrix, opened).flatten(0, 2)


def _matrices(elements: Float[Tensor, "T S"]) -> dict[str, Float[Tensor, "T S"]]:
    """Weights of source blocks in target blocks: of elements, of unordered pairs, of what has none."""
    (a, b), (e, f) = (torch.triu_indices(size, size) for size in elements.shape)
    pairs = elements[a][:, e] * elements[b][:, f]
    crossed = elements[a][:, f] * elements[b][:, e]
    pairs = pairs + torch.where(e != f, crossed, 0.0)
    return {"element": elements, "pair": pairs, "all": torch.ones(1, 1, dtype=elements.dtype)}


def _fresh_part(end: Tensor, axes: Axes, is_fresh: Bool[Tensor, "T"]) -> Bool[Tensor, "..."]:
    """Which entries belong to an element that starts fresh."""
    first, second = torch.triu_indices(len(is_fresh), len(is_fresh))
    fresh = {"element": is_fresh, "pair": is_fresh[first] | is_fresh[second], "all": is_fresh.new_zeros(1)}
    part = torch.zeros(end.shape, dtype=torch.bool)
    for axis, layout in axes.items():
        along = torch.cat(
            [fresh[blocks.of].repeat_interleave(blocks.width).repeat(blocks.outer) for blocks in layout]
        )
        part |= along.view([-1 if place == axis else 1 for place in range(end.ndim)])
    return part
