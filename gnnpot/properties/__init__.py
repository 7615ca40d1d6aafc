"""What a potential predicts: crystals, elasticity, phonons, defects, dynamics, and a certificate."""
