"""Helpers for archives."""
