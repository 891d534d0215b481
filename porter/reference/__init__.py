"""Reading TAO source trees, scoring references, choosing strategies."""
