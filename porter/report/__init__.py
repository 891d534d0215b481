"""Terminal and JSON views of a workspace."""
