"""Small dataset roots for the gates: links to a few images, and classes.txt in the one order.

The user's folder is only read: the trainer would write ``classes.txt`` into its root.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from porter.records.base import Record
from porter.records.inspection import DatasetFacts

TRAIN_IMAGES = 12
EVAL_IMAGES = 8


class View(Record, frozen=True, kw_only=True):
    """A dataset root for the gates.

    Attributes:
        root: holds ``classes.txt``, and train, val and test.
        images: number of images by split.
    """

    root: str
    images: dict[str, int]


def write_classes(root: Path, classes: Sequence[str]) -> Path:
    """Write ``classes.txt`` into *root* and return its path."""
    root.mkdir(parents=True, exist_ok=True)
    path = root / "classes.txt"
    path.write_text("".join(f"{name}\n" for name in classes), encoding="utf-8")
    return path


def make_view(dataset: DatasetFacts, root: Path, suffixes: Sequence[str]) -> View:
    """Make a view of a few images of every split under *root*, spread over the classes.

    Args:
        dataset: the checked dataset; a missing test split is taken from val.
        root: made anew.
        suffixes: file endings that the trainer sees, without the dot, case-sensitive.

    Returns:
        The view; every class has its folder in train and val, even where it is empty.
    """
    shutil.rmtree(root, ignore_errors=True)
    write_classes(root, dataset.classes)
    folders = {split.name: Path(split.folder) for split in dataset.splits}
    folders.setdefault("test", folders["val"])
    images = {}
    for split, limit in (("train", TRAIN_IMAGES), ("val", EVAL_IMAGES)):
        chosen = _spread(folders[split], dataset.classes, suffixes, limit)
        for name in dataset.classes:
            (root / split / name).mkdir(parents=True)
        for name, file in chosen:
            (root / split / name / file.name).symlink_to(file)
        images[split] = len(chosen)
    found = _anywhere(folders["test"], suffixes) or _anywhere(folders["val"], suffixes)
    (root / "test").mkdir()
    for number, file in enumerate(found):
        (root / "test" / f"{number:03d}-{file.name}").symlink_to(file)
    return View(root=str(root), images={**images, "test": len(found)})


def _anywhere(folder: Path, suffixes: Sequence[str]) -> list[Path]:
    """Return a few images below *folder*, evenly spread; inference takes them wherever they lie."""
    endings = tuple(f".{suffix}" for suffix in suffixes)
    files = sorted(file for file in folder.rglob("*") if file.name.endswith(endings) and file.is_file())
    step = max(1, len(files) // EVAL_IMAGES)
    return files[::step][:EVAL_IMAGES]


def _spread(
    folder: Path, classes: Sequence[str], suffixes: Sequence[str], limit: int
) -> list[tuple[str, Path]]:
    """Return up to *limit* images, taking one of each class in turn."""
    endings = tuple(f".{suffix}" for suffix in suffixes)
    by_class = {
        name: sorted(file for file in (folder / name).glob("*") if file.name.endswith(endings))
        for name in classes
    }
    chosen: list[tuple[str, Path]] = []
    depth = 0
    while len(chosen) < limit and any(depth < len(files) for files in by_class.values()):
        chosen += [(name, files[depth]) for name, files in by_class.items() if depth < len(files)]
        depth += 1
    return chosen[:limit]
