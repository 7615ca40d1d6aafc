"""Bases, envelopes and dense stacks: the parts that models share."""
