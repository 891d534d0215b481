"""`porter matrix`: a list of models, each ported by itself, and the table of what became of them."""
