"""Carrying a potential to another element or level of theory."""
