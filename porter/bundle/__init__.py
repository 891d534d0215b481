"""Offline bundles: ``fetch`` makes one while there is a network, ``use`` makes porter live on it alone."""

from porter.bundle.fetch import Wanted, fetch, refuse_folder
from porter.bundle.manifest import read
from porter.bundle.use import clone_places, use

__all__ = ["Wanted", "clone_places", "fetch", "read", "refuse_folder", "use"]
