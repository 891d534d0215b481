"""The licence of a model, as its card and its licence file state it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from porter.hub.files import CARD, describing, read_small
from porter.records.inspection import Contents, Licence

_TITLES = (
    ("apache license", "apache-2.0"),
    ("mit license", "mit"),
    ("bsd 3-clause", "bsd-3-clause"),
    ("bsd 2-clause", "bsd-2-clause"),
    ("gnu affero general public license", "agpl"),
    ("gnu lesser general public license", "lgpl"),
    ("gnu general public license", "gpl"),
    ("creative commons attribution-noncommercial", "cc-by-nc"),
    ("creative commons attribution", "cc-by"),
    ("nvidia source code license", "nvidia-source-code-license"),
)


def card_metadata(folder: Path) -> dict[str, Any]:
    """Return the front matter of the model card in *folder*; empty where there is none that reads."""
    if not (folder / CARD).is_file():
        return {}
    text = read_small(folder / CARD).decode("utf-8", errors="replace").replace("\r\n", "\n").lstrip("\ufeff")
    match = re.match(r"---[ \t]*\n(.*?)\n---[ \t]*(?:\n|$)", text, re.DOTALL)
    if not match:
        return {}
    import yaml

    try:
        found = yaml.safe_load(match[1])
    except (yaml.YAMLError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def read(folder: Path, contents: Contents) -> Licence:
    """Return the licence: from the card, else from the Hub's metadata, else from a licence file."""
    card = card_metadata(folder)
    stated = card.get("license")
    name = ", ".join(str(part) for part in stated) if isinstance(stated, list) else str(stated or "")
    if name == "other" and card.get("license_name"):
        name = str(card["license_name"])
    if name:
        return Licence(name=_line(name), source=CARD)
    if contents.licence:
        return Licence(name=_line(contents.licence), source="hub")
    for file in describing(entry.path for entry in contents.files):
        if not file.lower().startswith(("licen", "copying")) or not (folder / file).is_file():
            continue
        start = re.sub(
            r"\s+", " ", read_small(folder / file)[:4096].decode("utf-8", errors="replace")
        ).lower()
        found = next((spdx for title, spdx in _TITLES if title in start), "")
        return Licence(name=found or f"see {file}", source=file)
    return Licence()


def _line(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()[:100]
