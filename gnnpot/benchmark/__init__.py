"""Comparisons that need several training runs: of models, and of transfers with training from scratch."""
