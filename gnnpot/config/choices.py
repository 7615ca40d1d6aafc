"""Names of functions that configurations of several models choose from."""

from __future__ import annotations

from typing import Literal

ActivationName = Literal["celu", "gelu", "silu", "ssp", "tanh"]
EnvelopeName = Literal["cosine", "polynomial"]
