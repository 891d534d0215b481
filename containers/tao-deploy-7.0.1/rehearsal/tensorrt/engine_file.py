"""Engine files of the rehearsal: a marker, a header in JSON, and the ONNX file that the engine was built of.

The marker is the first thing in the file, so that the real TensorRT cannot take it for a plan, and a person
who opens it reads what it is.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tensorrt.types import RehearsalError

_MARKER = b"rehearsal engine of hf-tao-porter, not a TensorRT plan\n"
_LENGTH = "onnx_bytes"


def pack(header: dict[str, Any], onnx: bytes) -> bytes:
    """Return the contents of an engine file."""
    line = json.dumps({**header, _LENGTH: len(onnx)}, sort_keys=True).encode()
    return b"".join((_MARKER, line, b"\n", onnx))


def unpack(contents: bytes) -> tuple[dict[str, Any], bytes]:
    """Return the header and the ONNX file of an engine file.

    Raises:
        RehearsalError: the rehearsal did not write these bytes, or some of them are missing.
    """
    if not contents.startswith(_MARKER):
        raise RehearsalError(
            "these bytes are no engine of the rehearsal, which runs only what its own builder wrote; "
            "it cannot run a plan of TensorRT"
        )
    line, _, onnx = contents[len(_MARKER) :].partition(b"\n")
    try:
        header = json.loads(line)
        expected = header.pop(_LENGTH)
    except (ValueError, KeyError, AttributeError) as error:
        raise RehearsalError("the header of the rehearsal engine is damaged") from error
    if len(onnx) != expected:
        raise RehearsalError(
            f"the rehearsal engine has {len(onnx)} bytes of ONNX where {expected} were written"
        )
    return header, onnx


def read_rehearsal(path: str | Path) -> dict[str, Any]:
    """Return what an engine file was built with.

    Returns:
        ``profiles``: ``{input name: [min, opt, max]}``, each a list of dimensions;
        ``flags``: sorted names of what the caller switched on;
        ``calibration``: ``{"batches": n, "cache": "read" | "written"}``, or ``{}``.

    Raises:
        RehearsalError: the file is no engine of the rehearsal.
    """
    header, _ = unpack(Path(path).read_bytes())
    return header
