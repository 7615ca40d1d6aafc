"""Structures as graphs: reading, checking, splitting, storing."""
