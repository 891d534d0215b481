"""One thin module per phase, and the list of those that this version has."""
