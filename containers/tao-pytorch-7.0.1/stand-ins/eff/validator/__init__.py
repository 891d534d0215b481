"""Checks of archive metadata."""
