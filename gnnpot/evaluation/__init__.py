"""How good a potential is: errors, stability, conservation, and their report."""
