"""porter: Hugging Face computer-vision models into the NVIDIA TAO Toolkit."""

__version__ = "0.1.0"
