"""Which structures are worth a label: uncertainty, selection, distillation, the active-learning loop."""
