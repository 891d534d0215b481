"""The older import path of the stream functions."""

from eff.codec import decrypt_stream, encrypt_stream, get_random_encryption

__all__ = ["decrypt_stream", "encrypt_stream", "get_random_encryption"]
