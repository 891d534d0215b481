"""One thin module per phase."""
