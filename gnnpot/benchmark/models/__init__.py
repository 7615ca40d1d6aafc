"""Comparing models on one's own data."""
