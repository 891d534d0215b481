"""A checkpoint of NVIDIA's registry of models, by its name there."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from porter import secrets
from porter.errors import DataError
from porter.launch.drivers.base import sdk
from porter.launch.unpack import FULL, full

ENDPOINT = "https://api.ngc.nvidia.com"
WEIGHTS = (".pth", ".ckpt", ".tlt", ".hdf5", ".safetensors", ".pt", ".pth.tar")

_NAME = re.compile(r"(?P<org>[\w.-]+)/(?:(?P<team>[\w.-]+)/)?(?P<model>[\w.-]+):(?P<version>[\w.-]+)")
_SECONDS = (10, 60)
_BLOCK = 2**20
_REFUSED = (401, 403)


def is_name(source: str) -> bool:
    """Return whether a source is a name of NGC: ORG/TEAM/NAME:VERSION, or without a team."""
    return _NAME.fullmatch(source) is not None


def fetch(name: str, path: Path, told: Callable[[int], None], endpoint: str = ENDPOINT) -> None:
    """Write all files of a version of a model, as the zip archive that NGC makes of them.

    Args:
        name: ORG/TEAM/NAME:VERSION.
        path: of the archive.
        told: called with the bytes of each piece.
        endpoint: of NGC's own interface.

    Raises:
        DataError: there is no such model, the key may not read it, NGC does not answer, or the disk is full.
    """
    requests = sdk("requests")
    found = _NAME.fullmatch(name)
    if found is None:
        raise DataError(f"{name} is no name of NGC.", next_step="name it as ORG/TEAM/NAME:VERSION")
    parts = [quote(part) for part in (found["org"], found["team"], found["model"]) if part]
    address = f"{endpoint}/v2/models/{'/'.join(parts)}/versions/{quote(found['version'])}/zip"
    try:
        with _answer(requests, address) as answer:
            _refuse(name, answer.status_code)
            with path.open("wb") as file:
                for block in answer.iter_content(_BLOCK):
                    file.write(block)
                    told(len(block))
    except requests.RequestException as error:
        raise DataError(
            f"{name} cannot be fetched: NGC does not answer.",
            why=type(error).__name__,
            next_step=_by_hand(name),
        ) from None
    except OSError as error:
        if error.errno in FULL:
            raise full(name) from error
        raise DataError(
            f"{name} cannot be written.", why=str(error), next_step="make the run's folder writable"
        ) from error


def _answer(requests: Any, address: str) -> Any:
    """Return NGC's answer: with the key where there is one, and without it where that is refused.

    A key of another organisation is refused even for what everybody may have.
    """
    key = secrets.registry_key()
    if key:
        headers = {"Authorization": f"Bearer {key}"}
        answer = requests.get(address, headers=headers, stream=True, timeout=_SECONDS)
        if answer.status_code not in _REFUSED:
            return answer
        answer.close()
    return requests.get(address, stream=True, timeout=_SECONDS)


def _refuse(name: str, status: int) -> None:
    if status == 404:
        raise DataError(f"NGC has no {name}.", next_step="check name and version in NVIDIA's catalog")
    if status in _REFUSED:
        raise DataError(
            f"NGC does not give {name} to this key.",
            why=f"it answered {status}",
            next_step=f"set {secrets.REGISTRY} to a personal key that may read it, or {_by_hand(name)}",
        )
    if status != 200:
        raise DataError(f"{name} cannot be fetched.", why=f"NGC answered {status}", next_step=_by_hand(name))


def _by_hand(name: str) -> str:
    return f"fetch it by hand: ngc registry model download-version {name}; then --base-checkpoint FILE"


def weights(folder: Path) -> Path:
    """Return the one checkpoint in a folder that NGC's files were put into.

    Raises:
        DataError: there is none, or there are several.
    """
    found = sorted(path for path in folder.rglob("*") if path.name.endswith(WEIGHTS) and path.is_file())
    if len(found) == 1:
        return found[0]
    named = [path.relative_to(folder).as_posix() for path in found]
    raise DataError(
        f"It is not clear which file of NGC's {folder.name} is the checkpoint.",
        why=f"it has {', '.join(named)}" if named else f"none ends in {', '.join(WEIGHTS)}",
        next_step="fetch them with ngc registry model download-version, and name one: --base-checkpoint FILE",
    )
