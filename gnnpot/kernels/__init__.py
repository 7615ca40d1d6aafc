"""Loops compiled for a CPU, and the switch that decides where they run."""
