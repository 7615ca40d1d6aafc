"""Ready configuration files and the demo data."""
