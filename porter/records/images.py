"""NVIDIA's images as a port uses them."""

from __future__ import annotations

from porter.records.base import Record


class Prepared(Record, frozen=True, kw_only=True):
    """An image of NVIDIA's without TAO's own packages, so that the clones' are the only ones.

    Attributes:
        repo: repository whose code runs in it.
        reference: the image that it was made of, as it was named.
        digest: that image's digest, or its id where no registry gave it one.
        tag: name of the prepared image.
        image: its id.
        python: absolute path of its interpreter.
        removed: what was taken out, name and version.
        versions: version by distribution of what gates rest on.
    """

    repo: str
    reference: str
    digest: str
    tag: str
    image: str
    python: str
    removed: tuple[str, ...] = ()
    versions: dict[str, str] = {}
