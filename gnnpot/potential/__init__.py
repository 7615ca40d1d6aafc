"""From energies of atoms to energy, forces and stress."""
