"""`gnnpot init`: a first configuration from data."""
