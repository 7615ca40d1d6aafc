"""How ASE uses a potential."""
