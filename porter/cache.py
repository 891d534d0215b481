"""Where porter keeps what outlives a workspace: clones, environments, downloads."""

from __future__ import annotations

import os
from pathlib import Path


def root() -> Path:
    """Return the cache folder: ``$PORTER_CACHE``, else ``porter`` in the user's cache folder."""
    given = os.environ.get("PORTER_CACHE")
    if given:
        return Path(given).expanduser().absolute()
    from platformdirs import user_cache_path

    return user_cache_path("porter")
