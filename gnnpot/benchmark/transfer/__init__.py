"""How many structures a transfer saves against training from scratch."""
