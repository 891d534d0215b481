"""The error that stands where the real package would do its work."""

from __future__ import annotations

from typing import Any, NoReturn


class EffMissingError(RuntimeError):
    """Something asked for encryption, or for an EFF archive, in an environment that has neither."""


def refuse(what: str) -> NoReturn:
    """Raise :class:`EffMissingError` for the operation *what*."""
    raise EffMissingError(
        f"{what} needs the package nvidia-eff, which this environment replaces by a stand-in: "
        "use a plain .onnx or .engine file, or run it in a TAO container"
    )


class Refused:
    """Base of the classes that may be named and imported, but not used."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        refuse(type(self).__name__)
