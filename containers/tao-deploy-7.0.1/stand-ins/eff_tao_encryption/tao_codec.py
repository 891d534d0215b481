"""TAO's codec; every use is refused."""

from eff.codec import decrypt_stream, encrypt_stream

__all__ = ["decrypt_stream", "encrypt_stream"]
