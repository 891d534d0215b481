"""Keys and tokens: where they come from, and who does not get them."""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Collection, Iterator, Mapping, MutableMapping
from pathlib import Path
from urllib.parse import quote

from porter.errors import UsageError

HUB = "HF_TOKEN"
REGISTRY = "NGC_KEY"
NAMES = (HUB, REGISTRY, "HUGGING_FACE_HUB_TOKEN", "NGC_API_KEY", "NGC_CLI_API_KEY")
FILE = "PORTER_ENV_FILE"
"""Names a file of ``NAME=value`` lines that stands in for the environment."""

JOBS = (
    *("ACCESS_KEY", "SECRET_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
    *("BREV_API_TOKEN", "WANDB_API_KEY"),
)
"""What a job may be given, besides :data:`NAMES`."""

HIDDEN = "(not shown)"

_LINE = re.compile(r"(?:export\s+)?([A-Za-z_]\w*)\s*=\s*(.*)")
_SHORTEST = 6
_TOKEN = re.compile(r"\b(?:hf_[A-Za-z0-9]{16,}|nvapi-[\w-]{16,})|(?<=X-Amz-Signature=)[0-9a-fA-F]+")


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
        if name in (*NAMES, *JOBS) and value:
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
    # The file has them all.
    names = {*NAMES, *JOBS, FILE} - set(keep)
    taken = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(taken)


def registry_key() -> str:
    """Return the key of NVIDIA's registry; empty where there is none."""
    return os.environ.get(REGISTRY) or os.environ.get("NGC_API_KEY") or ""


def has_hub_token() -> bool:
    """Return whether a token for the Hub is set."""
    return bool(os.environ.get(HUB) or os.environ.get("HUGGING_FACE_HUB_TOKEN"))


def hide(text: str, variables: Mapping[str, str] | None = None) -> str:
    """Return text without the values of secrets, and without what is known to be one by its form.

    A value of less than six characters stays: it would be found in the middle of words.
    """
    known = os.environ if variables is None else variables
    values = {known[name] for name in (*NAMES, *JOBS) if len(known.get(name, "")) >= _SHORTEST}
    # The longest first: one may be a part of another.
    for value in sorted(values, key=len, reverse=True):
        for written in (value, quote(value, safe="")):
            text = text.replace(written, HIDDEN)
    return _TOKEN.sub(HIDDEN, text)
