"""Encryption of streams."""

from __future__ import annotations

from typing import Any, NoReturn

from eff.missing import refuse


def encrypt_stream(*arguments: Any, **keywords: Any) -> NoReturn:
    """Refuse to encrypt."""
    refuse("encrypting a stream")


def decrypt_stream(*arguments: Any, **keywords: Any) -> NoReturn:
    """Refuse to decrypt."""
    refuse("decrypting a stream")
