"""What ``gnnpot properties`` computes: of which models, for which structure, against which reference."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field

from gnnpot.config.base import Configuration, with_overrides
from gnnpot.engines import Engine, EngineConfig
from gnnpot.engines.words import engine_from_word
from gnnpot.errors import ConfigError
from gnnpot.potential.folder import MODEL_FILE
from gnnpot.properties.catalog import DEFAULT, PropertyName
from gnnpot.properties.certificate.certify import CertificateConfig
from gnnpot.properties.defects import DefectConfig
from gnnpot.properties.dynamics import DynamicsConfig
from gnnpot.properties.elastic import ElasticConfig
from gnnpot.properties.equation_of_state import EquationOfStateConfig
from gnnpot.properties.expansion import ExpansionConfig
from gnnpot.properties.melting_rounds import MeltingConfig
from gnnpot.properties.migration import MigrationConfig
from gnnpot.properties.phases import PhasesConfig
from gnnpot.properties.phonons import PhononConfig
from gnnpot.properties.relaxation import RelaxationConfig
from gnnpot.properties.surfaces import SurfaceConfig
from gnnpot.properties.survival import SurvivalConfig
from gnnpot.system.files import file_hash, text_hash

REFERENCE = "reference"  # the column of what models are compared with


class PropertiesConfig(Configuration):
    """Properties of several models side by side.

    Args:
        models: What is judged, by the name in tables.
        structure: A file with one structure (``frames.xyz@-1``), or a crystal such as ``NiAl:B2``.
        reference: The method that models are compared with.
        reference_values: A JSON file of values in place of a method, such as ``{"elastic": {"C11": 240.2}}``.
        only: Which properties.
        store: Label store of the reference; ``reference.db`` in the output if None.
        relaxation: Limits of the relaxation that comes first.
        phases: Structures beside the known crystals, and limits of their relaxation.
        equation_of_state: Volumes.
        elastic: Strain.
        vacancy: Cell and relaxation.
        interstitials: Cell and relaxation.
        surfaces: Which, and how thick.
        migration: Images and relaxation.
        phonons: Supercell and resolution.
        expansion: Volumes and temperatures.
        dynamics: Temperature, length, runs.
        melting: First guess, length, sizes.
        certificate: Sizes and lengths.
        stability: Temperature, length, number of runs.
    """

    FREE: ClassVar[frozenset[str]] = frozenset({"only", "only.*", "store"})

    models: Annotated[dict[str, Engine], Field(min_length=1)]
    structure: str
    reference: Engine | None = None
    reference_values: Path | None = None
    only: tuple[PropertyName, ...] = DEFAULT
    store: str | None = None
    relaxation: RelaxationConfig = RelaxationConfig()
    phases: PhasesConfig = PhasesConfig()
    equation_of_state: EquationOfStateConfig = EquationOfStateConfig()
    elastic: ElasticConfig = ElasticConfig()
    vacancy: DefectConfig = DefectConfig()
    interstitials: DefectConfig = DefectConfig()
    surfaces: SurfaceConfig = SurfaceConfig()
    migration: MigrationConfig = MigrationConfig()
    phonons: PhononConfig = PhononConfig()
    expansion: ExpansionConfig = ExpansionConfig()
    dynamics: DynamicsConfig = DynamicsConfig()
    melting: MeltingConfig = MeltingConfig()
    certificate: CertificateConfig = CertificateConfig()
    stability: SurvivalConfig = SurvivalConfig()

    @classmethod
    def from_words(
        cls,
        models: Sequence[str],
        structure: str,
        *,
        reference: str | None = None,
        only: Sequence[str] = (),
        settings: Iterable[str] = (),
        device: str = "cpu",
    ) -> Self:
        """The configuration that a command line means.

        Args:
            models: Words of :func:`~gnnpot.engines.words.engine_from_word`.
            structure: File or crystal.
            reference: A word like those of models, or a JSON file of values.
            only: Names of properties; all but expansion, melting and stability if empty.
            settings: ``key=value``, such as ``elastic.strain=0.1``.
            device: Where models run.

        Raises:
            ConfigError: Something does not fit.
        """
        engines = [engine_from_word(word, device=device) for word in models]
        values: dict[str, Any] = {
            "models": dict(zip(_names(models, engines), engines, strict=True)),
            "structure": structure,
        }
        if reference is not None:
            is_file = reference.endswith(".json")
            name = "reference_values" if is_file else "reference"
            values[name] = reference if is_file else engine_from_word(reference, device=device)
        if only:
            values["only"] = list(dict.fromkeys(only))
        return cls.from_dict(with_overrides(values, settings), source="gnnpot properties")

    def inputs(self) -> dict[str, str]:
        """Hashes of what the run reads, by name.

        Raises:
            EngineError: A file of a method is not there.
        """
        found = {f"model {name}": text_hash(one.identity_text()) for name, one in self.models.items()}
        if self.reference is not None:
            found["reference"] = text_hash(self.reference.identity_text())
        if self.reference_values is not None:
            if not self.reference_values.is_file():
                raise ConfigError(
                    f"expected a file of reference values, got {self.reference_values}, which is not there; "
                    "check the path"
                )
            found["reference"] = file_hash(self.reference_values)
        return found


def _names(words: Sequence[str], engines: Sequence[EngineConfig]) -> list[str]:
    """Short names that tell models apart: folder of a run, file, kind; whole words where these are equal."""
    short = [_short(word, engine) for word, engine in zip(words, engines, strict=True)]
    short = [f"{name} (model)" if name == REFERENCE else name for name in short]
    named = [one if short.count(one) == 1 else word for one, word in zip(short, words, strict=True)]
    again = [named[:place].count(name) for place, name in enumerate(named)]
    return [f"{name} ({count + 1})" if count else name for name, count in zip(named, again, strict=True)]


def _short(word: str, engine: EngineConfig) -> str:
    path = Path(word)
    if engine.kind == "gnnpot" and path.suffix not in (".yaml", ".yml"):
        return (path.parent.name if path.name == MODEL_FILE else path.stem) or word
    if path.exists():
        return path.stem
    settings = engine.model_dump()
    named = settings.get("preset") or settings.get("model") or settings.get("calculator_class")
    return str(named or engine.kind).rpartition(".")[2]
