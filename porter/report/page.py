"""Writes a review as one HTML page that needs nothing beside itself."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from porter.records.base import to_json
from porter.records.reference import Strategy
from porter.records.review import PreprocessingPicture, Review, ReviewFile, ReviewImage
from porter.report.plot import WORST, axis_of, plot_of, shown
from porter.report.proofs import read_bounded
from porter.report.text import visible
from porter.ui import MARKS

_FOLDER = Path(__file__).with_name("page")
_PICTURE_BYTES = 2_000_000
_PICTURES_BYTES = 16_000_000
_PNG = b"\x89PNG\r\n\x1a\n"

SECTIONS: tuple[tuple[str, str], ...] = (
    ("unproven", "Not proven"),
    ("findings", "Findings"),
    ("reference", "Reference"),
    ("strategy", "Strategy"),
    ("files", "Files"),
    ("ledger", "Tensor ledger"),
    ("parity", "Parity"),
    ("preprocessing", "Preprocessing"),
    ("gates", "Gates"),
    ("runs", "Commands and logs"),
    ("versions", "Versions and pins"),
)


SIGNS = {str(state): mark for state, mark in MARKS.items()}
SIGNS |= {"not run": "\N{EN DASH}", "changed": "\N{NOT EQUAL TO}"}
"""The sign of a state, beside its word."""


@dataclass(frozen=True)
class DiffLine:
    """A line of a diff: ``add``, ``del``, ``hunk``, ``note`` or ``same``; the first character is in it."""

    kind: str
    text: str


@dataclass(frozen=True)
class Picture:
    """A picture with its bytes as a data URI; empty where it cannot be shown."""

    picture: PreprocessingPicture
    uri: str


def environment(*folders: Path) -> Any:
    """Return what renders the templates of the review's page, and those in *folders*."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader([*folders, _FOLDER]),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        anchor=anchor,
        breakable=_breakable,
        number=_number,
        size=_size,
        json=_json,
        shown=shown,
        beside_plots=_beside_plots,
    )
    return made


def part(name: str) -> str:
    """Return the review's own style sheet (``page.css``) or script (``page.js``)."""
    return (_FOLDER / name).read_text(encoding="utf-8")


def render(review: Review) -> bytes:
    """Return the page of a review, UTF-8."""
    style, script = part("page.css"), part("page.js")
    axis = axis_of(review.hops)
    page: str = (
        environment()
        .get_template("page.html.jinja")
        .render(
            review=review,
            sections=SECTIONS,
            marks=SIGNS,
            bars=bars(review.counts),
            strategies=get_args(Strategy),
            diff_lines=diff_lines,
            axis=axis,
            plots=[plot_of(hop, axis) for hop in review.hops],
            images=_images(review),
            worst=WORST,
            style=verbatim(style),
            script=verbatim(script),
            style_digest=content_digest(style),
            script_digest=content_digest(script),
        )
    )
    return page.encode("utf-8")


def anchor(text: str) -> str:
    """Return text as a part of an id."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", text)


def diff_lines(file: ReviewFile) -> list[DiffLine]:
    """Return a file's diff by lines, without git's header."""
    lines = file.diff.splitlines()
    start = next(
        (number for number, line in enumerate(lines) if line.startswith(("@@", "Binary "))), len(lines)
    )
    kinds = {"+": "add", "-": "del", "@": "hunk", "\\": "note", "B": "note"}
    return [DiffLine(kinds.get(line[:1], "same"), line) for line in lines[start:]]


def _images(review: Review) -> list[tuple[ReviewImage, list[Picture]]]:
    left = _PICTURES_BYTES
    shown_images = []
    for image in review.images:
        pictures = []
        for picture in image.pictures:
            uri = _data_uri(Path(image.folder), picture.file) if left > 0 else ""
            pictures.append(Picture(picture, uri))
            left -= len(uri)
        shown_images.append((image, pictures))
    return shown_images


def _data_uri(folder: Path, name: str) -> str:
    """Return a PNG as a data URI; empty for anything else: the sandbox wrote it."""
    if not re.fullmatch(r"[\w-][\w.-]*\.png", name):
        return ""
    try:
        data = read_bounded(folder / name, _PICTURE_BYTES)
    except OSError:
        return ""
    return f"data:image/png;base64,{base64.b64encode(data).decode()}" if data.startswith(_PNG) else ""


def bars(counts: Mapping[str, int]) -> list[tuple[str, int, float, float]]:
    """Return (state, count, start, width) of a bar of all, in percent; states without any are left out."""
    total = sum(counts.values()) or 1
    found, start = [], 0.0
    for state, count in counts.items():
        width = 100 * count / total
        if count:
            found.append((state, count, round(start, 3), round(width, 3)))
        start += width
    return found


def _breakable(text: str) -> Any:
    """Return a dotted or slashed name that a browser may break after its separators."""
    from markupsafe import Markup, escape

    parts = re.split(r"(?<=[./_])", visible(text))
    return Markup("<wbr>").join(escape(part) for part in parts)


def _number(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return shown(value)


def _size(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape))


def _json(value: Any) -> str:
    return to_json(value).decode().rstrip("\n")


def _beside_plots(evidence: dict[str, Any]) -> dict[str, Any]:
    """Return what a gate found without what the plot of its hop shows."""
    plotted = ("hop", "parities", "per_input", "controls") if isinstance(evidence.get("hop"), str) else ()
    return {key: value for key, value in evidence.items() if key not in plotted}


def verbatim(text: str) -> Any:
    """Return a text of porter's own that the page takes as it is."""
    from markupsafe import Markup

    return Markup(text)  # noqa: S704 - porter's own file


def content_digest(text: str) -> str:
    """Return what a content security policy knows a style sheet or script by."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
