"""Gate definitions and the runner."""
