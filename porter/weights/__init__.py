"""Remap rules, the ledger, conversion and parity."""
