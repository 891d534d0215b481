"""Looks through a folder of images by class and decodes them.

Request: ``porter.records.probes.CheckDataset``; answer: ``DatasetScan``.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent / "lib"))

NAMED = 20


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Scan the splits that are there, then decode their images."""
    root, suffixes = Path(request["root"]), tuple(request["suffixes"])
    broken_names: list[str] = []
    splits, images = [], []
    for name in request["splits"]:
        if (root / name).is_dir():
            split, found = scan(root / name, suffixes, broken_names)
            splits.append({"name": name, **split})
            images += found
    chosen = spread(images, request["decode"])
    with ThreadPoolExecutor(request["processes"]) as pool:
        problems = [
            {"path": shown(path.relative_to(root)), "error": error}
            for path, error in zip(chosen, pool.map(problem, chosen), strict=True)
            if error
        ]
    others = sorted(
        entry.name for entry in visible(root) if entry.is_dir() and entry.name not in request["splits"]
    )
    return {
        "splits": splits,
        "decoded": len(chosen),
        "unreadable": problems[:NAMED],
        "unreadable_count": len(problems),
        "others": [shown(name) for name in others[:NAMED]],
        "undecodable": broken_names[:NAMED],
        "class_file": class_file(root / "classes.txt"),
    }


def scan(split: Path, suffixes: Sequence[str], broken_names: list[str]) -> tuple[dict[str, Any], list[Path]]:
    """Return what lies in one split, and the images that a trainer finds there."""
    counts: dict[str, int] = {}
    ignored: Counter[str] = Counter()
    images: list[Path] = []
    links: list[str] = []
    stray = 0
    for entry in visible(split):
        if is_broken(entry.name):
            broken_names.append(shown(entry.name))
        elif entry.is_symlink() and not Path(entry.path).exists():
            links.append(shown(entry.name))
        elif not entry.is_dir():
            stray += entry.name.endswith(tuple(suffixes))
            continue
        else:
            own, deeper = files_of(Path(entry.path))
            found = [path for path in own if path.name.endswith(tuple(suffixes))]
            ignored.update(path.suffix for path in own if not path.name.endswith(tuple(suffixes)))
            links += [shown(path.relative_to(split)) for path in found if not path.exists()]
            images += [path for path in found if path.exists()]
            counts[entry.name] = len(found)
            stray += sum(path.name.endswith(tuple(suffixes)) for path in deeper)
    table = {"images": counts, "ignored": dict(ignored), "stray": stray, "links": links[:NAMED]}
    return table, images


def visible(folder: Path) -> list[os.DirEntry[str]]:
    """Return the entries of *folder* that a glob finds, sorted."""
    with os.scandir(folder) as entries:
        return sorted((e for e in entries if not e.name.startswith(".")), key=lambda entry: entry.name)


def files_of(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return the files of *folder* itself, and those in folders below it, sorted."""
    own = [Path(entry.path) for entry in visible(folder) if not entry.is_dir()]
    deeper = [
        Path(where, name)
        for below in visible(folder)
        if below.is_dir()
        for where, _, names in os.walk(below.path)
        for name in sorted(names)
    ]
    return own, deeper


def spread(images: list[Path], limit: int) -> list[Path]:
    """Return at most *limit* of *images*, evenly spread; all for 0."""
    if not limit or len(images) <= limit:
        return images
    return [images[index * len(images) // limit] for index in range(limit)]


def problem(path: Path) -> str:
    """Return why Pillow cannot decode *path*; empty where it can."""
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                image.verify()
            # verify() leaves the image unusable, and does not decode.
            with Image.open(path) as image:
                image.convert("RGB")
    except UnidentifiedImageError:
        return "not an image"
    except Exception as error:
        lines: Iterator[str] = iter(str(error).splitlines())
        return f"{type(error).__name__}: {shown(next(lines, ''))}"[:200]
    return ""


def class_file(path: Path) -> list[str] | None:
    """Return the lines of ``classes.txt`` as the trainer reads them."""
    if not path.is_file() or path.stat().st_size > 10_000_000:
        return None
    return [shown(line.strip()) for line in path.read_text(encoding="utf-8", errors="replace").splitlines()]


def is_broken(name: str) -> bool:
    """Return whether *name* is not UTF-8 on the disk."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False


def shown(name: object) -> str:
    """Return *name* in a form that JSON can carry."""
    return str(name).encode("utf-8", "backslashreplace").decode("utf-8")


if __name__ == "__main__":
    from porter.weights.kernel.serve import serve

    sys.exit(serve(run))
