"""Frozen records that pass between the parts of porter: the bottom layer, pure data."""
