"""The commands as Python functions: structures in memory or in files, results as objects."""

import warnings

warnings.filterwarnings(
    "ignore", message="IProgress not found"
)  # of a bar that a library brings and nobody uses
