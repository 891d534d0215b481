"""A dataset of images and label masks: checking the one that was given, or making a small one.

Images are opened in the sandbox only; here the probe's findings are judged.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from porter.dataset import Probes
from porter.errors import DataError
from porter.records.inspection import DatasetFacts, SplitFacts
from porter.records.probes import CheckMasks, MadeDataset, MakeMasks, MaskScan, MaskSplit
from porter.views import View

IGNORED = 255
"""The grey level of pixels that have no class."""

_LABELLED = ("train", "val")
_SPLITS = (*_LABELLED, "test")
_LAYOUT = (
    "images lie in <folder>/images/<split>/, the masks of train and val in <folder>/masks/<split>/; an image "
    "and its mask have one name but for the ending"
)
_DECODED = 5_000
_IMAGES = {"train": 8, "val": 4, "test": 3}
_EDGES = (32, 160)
_VIEWED = {"train": 8, "val": 4, "test": 4}


def check(probes: Probes, root: Path, labels: Sequence[str], *, reduced: bool = False) -> DatasetFacts:
    """Return what the dataset in *root* is; nothing is written there.

    Args:
        probes: runs the probe that opens the images.
        root: folder with images and masks.
        labels: the model's labels by index.
        reduced: whether grey 0 is no class, and the first class is grey 1.

    Raises:
        DataError: the trainer could not use it as it is; says where and what to do.
    """
    root = root.expanduser().resolve()
    if not root.is_dir():
        raise DataError(
            f"There is no folder {root}.", why=_LAYOUT, next_step="give --data an existing folder"
        )
    request = CheckMasks(root=str(root), splits=_SPLITS, decode=_DECODED, processes=os.cpu_count() or 1)
    scan = probes.probe("check_masks", request, MaskScan, read=[root])
    return judge(root, scan, labels, reduced=reduced)


def judge(root: Path, scan: MaskScan, labels: Sequence[str], *, reduced: bool) -> DatasetFacts:
    """Return the facts of a scanned dataset; pure.

    Raises:
        DataError: the trainer could not use it as it is.
    """
    splits = {split.name: split for split in scan.splits}
    for name in _LABELLED:
        if name not in splits or not splits[name].images or not splits[name].masks:
            raise DataError(
                f"{root} has no images with masks for {name}.",
                why=_LAYOUT,
                next_step="arrange the files like that",
            )
    for split in splits.values():
        _refuse_split(root, split)
    classes = tuple(scan.class_file) if scan.class_file else tuple(labels)
    if len(set(classes)) != len(classes):
        raise DataError(
            f"classes.txt of {root} names a class twice.",
            why="a palette has one entry by name",
            next_step="give every class a name of its own",
        )
    notes = _level_notes(root, splits, len(classes), shift=int(reduced))
    if "test" not in splits or not splits["test"].images:
        notes.append("there is no test folder; inference uses val")
        splits.pop("test", None)
    against: Literal["equal", "different"] = "equal" if classes == tuple(labels) else "different"
    if against == "different":
        notes.append(f"the dataset has {len(classes)} classes of its own; the model has {len(labels)} labels")
    return DatasetFacts(
        root=str(root),
        classes=classes,
        splits=tuple(_facts(root, splits[name]) for name in _SPLITS if name in splits),
        against_labels=against,
        notes=tuple(notes),
    )


def _facts(root: Path, split: MaskSplit) -> SplitFacts:
    return SplitFacts(name=split.name, folder=str(root / "images" / split.name), images={"": split.images})


def _refuse_split(root: Path, split: MaskSplit) -> None:
    if split.unpaired_count:
        raise DataError(
            f"{split.unpaired_count} files of {split.name} have no partner, such as {split.unpaired[0]}.",
            why="TAO pairs images with masks by their place in the sorted lists of names",
            next_step="give every image its mask, of the same name but for the ending, and remove the others",
        )
    if split.broken_count:
        first = split.broken[0]
        raise DataError(
            f"{split.broken_count} files of {split.name} cannot be used.",
            why=f"{first.path}: {first.error}",
            next_step="repair or remove them",
        )
    if split.coloured:
        raise DataError(
            f"The masks of {split.name} have colours.",
            why=f"porter reads grey masks: a pixel's value is the number of its class, {IGNORED} is none",
            next_step=f"convert the masks in {root}",
        )


def _level_notes(root: Path, splits: Mapping[str, MaskSplit], classes: int, *, shift: int) -> list[str]:
    """Return what is to be said of the grey levels in the masks.

    Raises:
        DataError: some are neither a class nor none.
    """
    meant = {*range(shift, classes + shift), IGNORED, *([0] if shift else [])}
    notes = []
    for name in _LABELLED:
        levels = splits[name].levels
        strange = sorted(set(levels) - meant)
        if strange:
            raise DataError(
                f"Masks of {name} have pixels of value {', '.join(map(str, strange[:5]))}.",
                why=f"the {classes} classes are {shift} to {classes + shift - 1}, and {IGNORED} is none",
                next_step=f"name the classes in {root / 'classes.txt'}, one a line, or convert the masks",
            )
        if splits[name].decoded < splits[name].images:
            notes.append(
                f"{splits[name].decoded} of {splits[name].images} masks of {name} were decoded, evenly spread"
            )
    seen = {level - shift for level in splits["train"].levels} & set(range(classes))
    if len(seen) < classes:
        notes.append(f"train shows {len(seen)} of the {classes} classes")
    return notes


def generate(
    probes: Probes, root: Path, labels: Sequence[str], size: int, *, reduced: bool = False
) -> DatasetFacts:
    """Make a small dataset in *root*; what lies there is replaced.

    Args:
        probes: runs the probe that writes the images.
        root: porter's own folder for them.
        labels: names of the classes.
        size: edge length that the model takes; images are no larger than needed to try it.
        reduced: as in :func:`check`.
    """
    work = root.with_name(f".{root.name}.making")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    request = MakeMasks(
        root=str(work / "made"),
        classes=len(labels),
        shift=int(reduced),
        size=min(max(size, _EDGES[0]), _EDGES[1]),
        images=_IMAGES,
    )
    probes.probe("make_masks", request, MadeDataset, write=[work])
    if root.exists():
        shutil.rmtree(root)
    (work / "made").rename(root)
    shutil.rmtree(work)
    return DatasetFacts(
        root=str(root),
        classes=tuple(labels),
        splits=tuple(
            SplitFacts(name=name, folder=str(root / "images" / name), images={"": count})
            for name, count in _IMAGES.items()
        ),
        against_labels="equal",
        generated=True,
    )


def make_view(dataset: DatasetFacts, root: Path) -> View:
    """Make a dataset root of a few images of every split under *root*, with their masks, as links.

    Args:
        dataset: the checked dataset; a missing test split is taken from val.
        root: made anew.
    """
    shutil.rmtree(root, ignore_errors=True)
    folders = {split.name: Path(split.folder) for split in dataset.splits}
    folders.setdefault("test", folders["val"])
    counts = {}
    for split, limit in _VIEWED.items():
        files = sorted(folders[split].iterdir())
        chosen = files[:: max(1, len(files) // limit)][:limit]
        (root / "images" / split).mkdir(parents=True)
        for file in chosen:
            (root / "images" / split / file.name).symlink_to(file)
        counts[split] = len(chosen)
        if split in _LABELLED:
            masks = {file.stem: file for file in (Path(dataset.root) / "masks" / split).iterdir()}
            (root / "masks" / split).mkdir(parents=True)
            for file in chosen:
                mask = masks[file.stem]
                (root / "masks" / split / mask.name).symlink_to(mask)
    return View(root=str(root), images=counts)
