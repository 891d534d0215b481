"""What a review shows of a port: one tree that page, terminal and JSON are made from."""

from __future__ import annotations

from typing import Literal

from porter.records.base import Record


class PreprocessingPicture(Record, frozen=True, kw_only=True):
    """A picture that a preprocessing gate left for the review.

    Attributes:
        image: name of the test image; the pictures of one image are shown together.
        file: PNG beside the index; empty where there is nothing to show (shapes that differ).
        what: the image itself, what a side made of it (normalisation taken back), or how far a side is
            from the Hugging Face processor (stretched so that the largest difference is white).
        shape: (channels, height, width) of what is shown.
        max_abs: of a difference, its largest value in normalised units.
        different: of a difference, the share of values that differ at all.
    """

    image: str
    file: str
    what: Literal["source", "huggingface", "trainer", "deploy", "trainer-difference", "deploy-difference"]
    shape: tuple[int, ...] = ()
    max_abs: float | None = None
    different: float | None = None


PreprocessingPictures = tuple[PreprocessingPicture, ...]
"""``.porter/evidence/preprocessing/index.json``."""
