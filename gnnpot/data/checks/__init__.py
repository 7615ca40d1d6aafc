"""Faults in labeled data, found before anything is trained."""
