"""The commands as Python functions: structures in memory or in files, results as objects."""
