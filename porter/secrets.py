"""Keys and tokens: where they come from, and who does not get them."""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Collection, Iterator, Mapping, MutableMapping
from pathlib import Path

from porter.errors import UsageError

HUB = "HF_TOKEN"
REGISTRY = "NGC_KEY"
NAMES = (HUB, REGISTRY, "HUGGING_FACE_HUB_TOKEN", "NGC_API_KEY", "NGC_CLI_API_KEY")
OF_JOBS = (
    *NAMES,
    *("ACCESS_KEY", "SECRET_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
    *("BREV_API_TOKEN", "WANDB_API_KEY"),
)
"""Everything that may be secret where jobs are started: NVIDIA's SDK hands such variables on by itself."""
FILE = "PORTER_ENV_FILE"
"""Names a file of ``NAME=value`` lines that stands in for the environment."""

_SHORTEST = 6
"""What is shorter may well be a word of the text."""
_LINE = re.compile(r"(?:export\s+)?([A-Za-z_]\w*)\s*=\s*(.*)")


def load(variables: MutableMapping[str, str]) -> None:
    """Take secrets that the environment does not have from the file that ``PORTER_ENV_FILE`` names.

    Raises:
        UsageError: the file is not there, others can read it, or a line is no setting. No value is told.
    """
    named = variables.get(FILE)
    if not named:
        return
    path = Path(named).expanduser()
    try:
        mode, text = path.stat().st_mode, path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{FILE} names {path}, which cannot be read.", why=type(error).__name__, next_step=f"unset {FILE}"
        ) from error
    if stat.S_IMODE(mode) & 0o077:
        raise UsageError(f"{path} holds secrets and can be read by others.", next_step=f"chmod 600 {path}")
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        found = _LINE.fullmatch(stripped)
        if found is None:
            raise UsageError(f"Line {number} of {path} is not of the form NAME=value.")
        name, value = found[1], found[2].strip()
        if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
            value = value[1:-1]
        if name in NAMES and value:
            variables.setdefault(name, value)


def without(variables: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return an environment for a program that needs none of the secrets."""
    return {
        name: value
        for name, value in (os.environ if variables is None else variables).items()
        if name not in NAMES
    }


@contextlib.contextmanager
def hidden(keep: Collection[str] = ()) -> Iterator[None]:
    """Take the secrets of jobs out of the environment, but for those named, while the block runs."""
    taken = {name: os.environ.pop(name) for name in OF_JOBS if name in os.environ and name not in set(keep)}
    try:
        yield
    finally:
        os.environ.update(taken)


def redacted(text: str) -> str:
    """Return *text* without the value of any secret that the environment has."""
    for name in OF_JOBS:
        value = os.environ.get(name, "")
        if len(value) >= _SHORTEST:
            text = text.replace(value, f"<{name}>")
    return text


def registry_key() -> str:
    """Return the key of NVIDIA's registry; empty where there is none."""
    return os.environ.get(REGISTRY) or os.environ.get("NGC_API_KEY") or ""


def has_hub_token() -> bool:
    """Return whether a token for the Hub is set."""
    return bool(os.environ.get(HUB) or os.environ.get("HUGGING_FACE_HUB_TOKEN"))
