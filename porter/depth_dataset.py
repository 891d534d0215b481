"""A dataset of lists of images and depth maps: checking the one that was given, or making a small one.

Images are opened in the sandbox only; here the probe's findings are judged.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from porter.dataset import Probes
from porter.errors import DataError
from porter.records.inspection import DatasetFacts, SplitFacts
from porter.records.probes import CheckDepth, DepthScan, DepthSplit, MadeDataset, MakeDepth
from porter.views import View

_MEASURED = ("train", "val")
_SPLITS = (*_MEASURED, "test")
_LAYOUT = (
    "a folder has train.txt, val.txt and, if it likes, test.txt; a line of them is the path of an image and, "
    "after a blank, that of its depth map (.pfm or .png), both below the folder"
)
_INVERSE_BELOW = 1000.0
"""Inverse depth from here on is none, as the reference reads it."""

_DECODED = 2_000
_IMAGES = {"train": 8, "val": 4, "test": 3}
_EDGES = (32, 160)
_VIEWED = {"train": 8, "val": 4, "test": 4}


def bounds(*, relative: bool, nearest: float, farthest: float) -> tuple[float, float]:
    """Return between what values a pixel of a depth map has a depth."""
    return (0.0, _INVERSE_BELOW) if relative else (nearest, farthest)


def check(
    probes: Probes, root: Path, *, relative: bool, nearest: float = 0.0, farthest: float = 1.0
) -> DatasetFacts:
    """Return what the dataset in *root* is; nothing is written there.

    Args:
        probes: runs the probe that opens the images.
        root: folder with the lists.
        relative: whether depth maps hold inverse depth.
        nearest: what is not farther than this is no depth for a metric model, in metres.
        farthest: nor is what is not nearer than this.

    Raises:
        DataError: the trainer could not use it as it is; says where and what to do.
    """
    root = root.expanduser().resolve()
    if not root.is_dir():
        raise DataError(
            f"There is no folder {root}.", why=_LAYOUT, next_step="give --data an existing folder"
        )
    above, below = bounds(relative=relative, nearest=nearest, farthest=farthest)
    request = CheckDepth(
        root=str(root),
        splits=_SPLITS,
        above=above,
        below=below,
        decode=_DECODED,
        processes=os.cpu_count() or 1,
    )
    return judge(root, probes.probe("check_depth", request, DepthScan, read=[root]), request, relative)


def judge(root: Path, scan: DepthScan, asked: CheckDepth, relative: bool) -> DatasetFacts:
    """Return the facts of a scanned dataset; pure.

    Raises:
        DataError: the trainer could not use it as it is.
    """
    splits = {split.name: split for split in scan.splits}
    notes = []
    for name in _MEASURED:
        if name not in splits or not splits[name].images or splits[name].depths < splits[name].images:
            raise DataError(
                f"{root} has no list {name}.txt with a depth map for every image.",
                why=_LAYOUT,
                next_step="write the lists like that",
            )
    for split in splits.values():
        _refuse_split(split)
    for name in _MEASURED:
        notes += _value_notes(splits[name], asked, relative)
    if "test" not in splits or not splits["test"].images:
        notes.append("there is no test.txt; inference uses val")
        splits.pop("test", None)
    return DatasetFacts(
        root=str(root),
        classes=(),
        splits=tuple(
            SplitFacts(name=name, folder=str(root), images={"": splits[name].images})
            for name in _SPLITS
            if name in splits
        ),
        against_labels="no labels",
        notes=tuple(notes),
    )


def _refuse_split(split: DepthSplit) -> None:
    if split.strange:
        raise DataError(
            f"{split.name}.txt has a line that is no list of paths: {split.strange[0][:80]!r}.",
            why="a line is one path, two, or three of a pair of eyes, with one blank between them; a path "
            "that has a blank itself cannot be written",
            next_step="mend the line, or rename the file",
        )
    if split.outside:
        raise DataError(
            f"{split.name}.txt names {split.outside[0]}, which does not lie in the dataset's folder.",
            why="the sandbox sees that folder alone",
            next_step="give --data the folder that holds all of the files, and lists in it",
        )
    if split.broken_count:
        first = split.broken[0]
        raise DataError(
            f"{split.broken_count} lines of {split.name}.txt name files that cannot be used.",
            why=f"{first.path}: {first.error}",
            next_step="repair the files, or remove the lines",
        )


def _value_notes(split: DepthSplit, asked: CheckDepth, relative: bool) -> list[str]:
    """Return what is to be said of the values in the depth maps.

    Raises:
        DataError: not one of them is a depth.
    """
    what = "inverse depth" if relative else "depth in metres"
    if not split.measured:
        raise DataError(
            f"No pixel of the depth maps of {split.name}.txt has a depth.",
            why=f"{what} lies between {asked.above:g} and {asked.below:g}; a .png is read as the whole "
            "numbers that it holds",
            next_step=f"write .pfm files of {what}",
        )
    notes = []
    if split.decoded < split.images:
        notes.append(
            f"{split.decoded} of {split.images} lines of {split.name}.txt were decoded, evenly spread"
        )
    share = split.measured / split.pixels
    notes.append(
        f"{split.name}: {share:.0%} of the pixels have {what}, {split.least:.4g} to {split.greatest:.4g}"
    )
    return notes


def generate(probes: Probes, root: Path, size: int, *, relative: bool, farthest: float = 1.0) -> DatasetFacts:
    """Make a small dataset in *root*; what lies there is replaced.

    Args:
        probes: runs the probe that writes the images.
        root: porter's own folder for them.
        size: edge length that the model takes; images are no larger than needed to try it.
        relative: whether depth maps hold inverse depth.
        farthest: depth that a metric model gives at most.
    """
    work = root.with_name(f".{root.name}.making")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    request = MakeDepth(
        root=str(work / "made"),
        relative=relative,
        farthest=farthest,
        size=min(max(size, _EDGES[0]), _EDGES[1]),
        images=_IMAGES,
    )
    probes.probe("make_depth", request, MadeDataset, write=[work])
    if root.exists():
        shutil.rmtree(root)
    (work / "made").rename(root)
    shutil.rmtree(work)
    return DatasetFacts(
        root=str(root),
        classes=(),
        splits=tuple(
            SplitFacts(name=name, folder=str(root), images={"": count}) for name, count in _IMAGES.items()
        ),
        against_labels="no labels",
        generated=True,
    )


def make_view(dataset: DatasetFacts, root: Path) -> View:
    """Make lists of a few images of every split under *root*, which name the files where they are.

    Args:
        dataset: the checked dataset; a missing test split is taken from val.
        root: made anew.
    """
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    there = {split.name for split in dataset.splits}
    counts = {}
    for split, limit in _VIEWED.items():
        lines = lines_of(Path(dataset.root), split if split in there else "val")
        chosen = lines[:: max(1, len(lines) // limit)][:limit]
        kept = [line[:1] if split not in _MEASURED else line for line in chosen]
        text = "".join(f"{' '.join(line)}\n" for line in kept)
        (root / f"{split}.txt").write_text(text, encoding="utf-8")
        counts[split] = len(kept)
    return View(root=str(root), images=counts)


def lines_of(root: Path, split: str) -> list[list[str]]:
    """Return the paths on every line of a list; relative ones begin at its folder."""
    text = (root / f"{split}.txt").read_text(encoding="utf-8")
    return [[str(root / path) for path in line.split(" ")] for line in text.splitlines() if line]


def images_of(root: Path, split: str) -> tuple[str, ...]:
    """Return the images that a list names."""
    return tuple(line[0] for line in lines_of(root, split))
