"""Training: loss, optimizers, and the one loop for all models."""
