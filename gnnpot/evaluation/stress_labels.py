"""Whether stress labels are those that a potential was trained on."""

from __future__ import annotations

from pathlib import Path

from gnnpot.data.keys import LabelKeys
from gnnpot.potential.header import read_header


def other_stress_offset(model: Path, keys: LabelKeys) -> str:
    """That the training took a pressure off the stress labels which these labels may still have, or "".

    Args:
        model: Model file.
        keys: How the labels were read.
    """
    offset = read_header(model).provenance.get("stress_offset")
    if offset in (None, "none", "auto", "fit") or "stress_offset" in keys.model_fields_set:
        return ""
    if " in " in offset:
        return f"without {offset}, which labels of the same methods have too much"
    return f"without {offset}, which labels of the same method have too much: -k stress_offset='{offset}'"
