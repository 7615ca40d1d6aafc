"""The checkpoint of a training: whole or not there, read without running code, and for one training alone."""

from __future__ import annotations

import io
import math
import pickle
import warnings
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO
from pydantic import BaseModel, ValidationError

from gnnpot.data.dataset import GraphDataset
from gnnpot.errors import ConfigError, OutputError, TrainingError, shortened
from gnnpot.potential.potential import Potential
from gnnpot.system.files import text_hash, write_bytes
from gnnpot.system.run_folder import differences
from gnnpot.training.config import RESUMABLE, TrainingConfig

CHECKPOINT = "last.ckpt"
_PARTS: dict[str, type] = {
    "state_dict": dict, "optimizer_states": list, "loops": dict, "epoch": int, "global_step": int,
    "pytorch-lightning_version": str, "gnnpot": dict,
}  # fmt: skip
_OURS: dict[str, type] = {"history": list, "best": dict, "seconds": float, "rates": dict}
_ROUNDING = 1e-4  # other machines may round the first weights otherwise
UNREADABLE = (
    OSError, RuntimeError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError,
    AssertionError, EOFError, pickle.UnpicklingError,
)  # fmt: skip


def identity_of(
    potential: Potential, train: GraphDataset, validation: GraphDataset, *, config: TrainingConfig, seed: int
) -> dict[str, Any]:
    """What a training is, as plain values: configuration, model with its first weights, and data.

    Args:
        potential: Potential as the training begins.
        train: Labeled graphs that change the weights.
        validation: Labeled graphs that pick the best model.
        config: How it is trained.
        seed: Seed of the order of the structures.
    """
    return {
        "training": config.model_dump(mode="json"),
        "seed": seed,
        "model": potential.model.config.model_dump(mode="json"),
        "weights": {name: _moments(value) for name, value in potential.model.state_dict().items()},
        "data": {"train": _data_hash(train), "validation": _data_hash(validation)},
    }


def check_checkpoint(
    path: Path, identity: Mapping[str, Any], state: Mapping[str, torch.Tensor], config: TrainingConfig
) -> None:
    """Refuse a checkpoint with which this training cannot go on.

    Args:
        path: The file.
        identity: Identity of the training that would go on.
        state: Its parameters and buffers, with the names and shapes that the checkpoint must have.
        config: How it is trained.

    Raises:
        TrainingError: The file is damaged, or no checkpoint of this version.
        OutputError: The checkpoint belongs to another training.
        ConfigError: More epochs are trained than the configuration asks for.
    """
    saved = read_checkpoint(path)
    before = saved["gnnpot"].get("identity")
    if isinstance(before, dict) and (names := _different(before, identity, saved["state_dict"], state)):
        raise OutputError(
            f"expected the checkpoint of this training, got {path} of another one, with other "
            f"{', '.join(names)}; remove it to train anew, or use another --output"
        )
    shapes = {name: tuple(value.shape) for name, value in state.items()}
    for name, value in saved["state_dict"].items():
        if shapes.pop(name, None) != tuple(getattr(value, "shape", ())):
            raise _other_model(path, name)
    if shapes:
        raise _other_model(path, min(shapes))
    done = len(saved["gnnpot"]["history"])
    if done > config.max_epochs:
        raise ConfigError(
            f"expected training.max_epochs of at least {done}, as the run in {path.parent} has trained so "
            f"many, got {config.max_epochs}; raise it, or use another --output"
        )


def read_checkpoint(path: Path) -> dict[str, Any]:
    """What a checkpoint holds; nothing in it is run.

    Raises:
        TrainingError: The file is damaged, or no checkpoint of this version.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch tells of versions of pickle before it refuses them
            saved = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:  # whose message tells how to load code from it
        raise no_checkpoint(path, "it is damaged, or holds more than tensors and plain values") from error
    except UNREADABLE as error:
        raise no_checkpoint(path, str(error).partition("\n")[0]) from error
    if not isinstance(saved, dict):
        raise no_checkpoint(path, f"it holds {type(saved).__name__}")
    for parts, values in ((_PARTS, saved), (_OURS, saved.get("gnnpot"))):
        for name, kind in parts.items():
            if not (isinstance(values, dict) and isinstance(values.get(name), kind)):
                raise no_checkpoint(path, f"it has no {name} as this version writes it")
    if not isinstance(saved["loops"].get("fit_loop", {}).get("epoch_progress"), dict):
        raise no_checkpoint(path, "it does not say how far the training has come")
    return saved


class CheckpointFile(TorchCheckpointIO):
    """Checkpoints that are written atomically and loaded without running code."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        """Write it in one piece."""
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        write_bytes(Path(path), buffer.getbuffer())

    def load_checkpoint(self, path: str | Path, *args: Any, **options: Any) -> dict[str, Any]:
        """Read it as plain values."""
        return read_checkpoint(Path(path))


def no_checkpoint(path: Path, reason: str) -> TrainingError:
    """The error of a file that is damaged, or was written by another version."""
    words = shortened(reason, str)
    return TrainingError(f"expected a whole checkpoint, got {path} ({words}); remove it to train anew")


def _other_model(path: Path, name: str) -> OutputError:
    return OutputError(
        f"expected the checkpoint of this model, got {path} with another {shortened(name, str)}; remove it "
        "to train anew, or use another --output"
    )


def _different(
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    saved: Mapping[str, torch.Tensor],
    state: Mapping[str, torch.Tensor],
) -> list[str]:
    """What differs between two trainings, in words of the configuration."""
    named = [
        f"{section}.{name}"
        for section, kind in (("training", TrainingConfig), ("model", None))
        for name in differences(_completed(old.get(section), kind), new[section], free=RESUMABLE)
    ]
    named += differences({"seed": old.get("seed")}, {"seed": new["seed"]})
    if not named and not (_near(old.get("weights"), new["weights"]) or _same(saved, state)):
        named.append("first weights")
    words = {"train": "training data", "validation": "validation data"}
    return named + [words[name] for name in differences(old.get("data"), new["data"]) if name in words]


def _completed(values: Any, section: type[BaseModel] | None) -> Any:
    """Values of an older version with the defaults of what it did not know."""
    if section is not None:
        with suppress(ValidationError):
            return section.model_validate(values).model_dump(mode="json")
    return values


def _data_hash(dataset: GraphDataset) -> str:
    """One hash of all structures with their labels, whatever their order."""
    contents = (content for _, content in dataset.named_hashes())
    pairs = zip(contents, dataset.label_hashes(), strict=True)
    return text_hash(" ".join(sorted(f"{content}:{labels}" for content, labels in pairs)))


def _moments(value: torch.Tensor) -> list[float]:
    """Mean and root mean square, which tell weights apart and hardly depend on rounding."""
    numbers = value.detach().double()
    return [float(numbers.mean()), float(numbers.square().mean().sqrt())] if value.numel() else [0.0, 0.0]


def _near(old: Any, new: Mapping[str, list[float]]) -> bool:
    """Whether two sets of first weights are the same but for rounding."""
    if not isinstance(old, dict) or set(old) != set(new):
        return False
    return all(
        math.isclose(mean, other_mean, rel_tol=0.0, abs_tol=_ROUNDING * abs(size) + 1e-30)
        and math.isclose(size, other_size, rel_tol=_ROUNDING, abs_tol=1e-30)
        for name, (mean, size) in new.items()
        for other_mean, other_size in [old[name]]
    )


def _same(saved: Mapping[str, torch.Tensor], state: Mapping[str, torch.Tensor]) -> bool:
    """Whether the training goes on with the weights that it ended with."""
    weights = {name: value for name, value in state.items() if name.startswith("potential.model.")}
    return all(
        name in saved
        and value.shape == saved[name].shape
        and bool((value.detach().cpu() == saved[name].cpu()).all())
        for name, value in weights.items()
    )
