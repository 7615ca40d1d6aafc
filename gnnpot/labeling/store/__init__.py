"""The store in which each structure is labeled once."""
