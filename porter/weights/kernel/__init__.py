"""Tensor work for probes: stdlib, numpy and torch only; never imported on the host."""
