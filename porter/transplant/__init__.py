"""Lifts a model class out of transformers into one file that needs torch alone; pure, on the host."""
