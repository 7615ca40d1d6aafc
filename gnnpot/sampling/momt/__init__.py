"""Multiorder-multithermal sampling."""
