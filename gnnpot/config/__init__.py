"""How YAML becomes checked values."""
