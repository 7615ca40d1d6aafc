"""Methods as a command line names them: model files, folders of runs, methods with their settings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gnnpot.config.base import Configuration, read_values, with_overrides
from gnnpot.config.registry import nearest
from gnnpot.engines.base import ENGINES, Engine, EngineConfig
from gnnpot.errors import ConfigError
from gnnpot.potential.folder import MEMBERS, MODEL_FILE

_SECTIONS = ("method", "calculator")  # of a labeling and of a sampling run
_YAML = (".yaml", ".yml")
_EXAMPLES = (
    "name a model file, a run's folder, a YAML file with the section method, or a method such as "
    "stillinger-weber:preset=Si-1985"
)


class _Method(Configuration):
    """A method alone, for messages about its settings."""

    method: Engine


def engine_from_word(word: str, *, device: str = "cpu") -> EngineConfig:
    """The method that a word names.

    - a model file, or the folder of a training, which may be that of a committee;
    - a YAML file with the section ``method`` or ``calculator``, or with the section alone;
    - a name in :data:`ENGINES` with its settings: ``xtb``, ``kim:model=NAME``,
      ``eam:file=Ni.eam.fs``, ``ase:calculator_class=ase.calculators.emt.EMT``.

    Args:
        word: One word of a command line.
        device: Where models run: ``cpu``, ``cuda``, ``auto``, ….

    Raises:
        ConfigError: It names nothing, or the settings do not fit.
    """
    path = Path(word).expanduser()
    kind, _, settings = word.partition(":")
    if path.suffix in _YAML:
        return _checked(_section(path), word)
    if path.is_dir() and (path / MODEL_FILE).exists():
        path = path / MODEL_FILE
    if path.is_file() or (path / MEMBERS).is_dir():
        return _checked({"kind": "gnnpot", "model": [str(path)], "device": device}, word)
    if kind in ENGINES:
        pairs = [pair for pair in settings.split(",") if pair]
        return _checked(with_overrides({"kind": kind}, pairs), word)
    raise ConfigError(f"expected a model or a method, got {word!r}; {_advice(path, kind)}")


def committee_from_words(words: Sequence[str], *, device: str = "cpu") -> EngineConfig:
    """The method that one word names, or the committee of several models.

    Raises:
        ConfigError: As in :func:`engine_from_word`, or one of several is no model.
    """
    found = [engine_from_word(word, device=device) for word in words]
    if len(found) == 1:
        return found[0]
    for word, one in zip(words, found, strict=True):
        if one.kind != "gnnpot":
            raise ConfigError(f"expected models for a committee, got {word!r}; give a method alone")
    members = [str(path) for one in found for path in one.model_dump()["model"]]
    return _checked({"kind": "gnnpot", "model": members, "device": device}, " ".join(words))


def _section(path: Path) -> Any:
    values = read_values(path)
    return next((values[name] for name in _SECTIONS if name in values), values)


def _checked(section: Any, word: str) -> EngineConfig:
    return _Method.from_dict({"method": section}, source=word).method


def _advice(path: Path, kind: str) -> str:
    if path.is_dir():
        return f"the folder holds no {MODEL_FILE}"
    if path.suffix or len(path.parts) > 1:
        return "there is no such file; check the path"
    close = nearest(kind, ENGINES)
    return close if close.startswith("did you mean") else _EXAMPLES
