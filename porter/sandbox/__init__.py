"""The one sandbox, its engines and managed environments."""
