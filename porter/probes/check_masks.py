"""Looks through a folder of images and label masks and decodes them.

Request: ``porter.records.probes.CheckMasks``; answer: ``MaskScan``.
"""

from __future__ import annotations

import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent / "lib"))

NAMED = 20
_BYTES = frozenset({"1", "L", "P"})
_WIDE = frozenset({"I", "I;16", "I;16B"})
"""Modes of grey masks, as Pillow names them."""


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Pair the files of every split that is there, then decode them."""
    root = Path(request["root"])
    splits = [
        scan(root, name, request)
        for name in request["splits"]
        if (root / "images" / name).is_dir() or (root / "masks" / name).is_dir()
    ]
    return {"splits": splits, "class_file": class_file(root / "classes.txt")}


def scan(root: Path, split: str, request: dict[str, Any]) -> dict[str, Any]:
    """Return what lies in one split."""
    images, masks = files_of(root / "images" / split), files_of(root / "masks" / split)
    alone = sorted(
        path.relative_to(root).as_posix()
        for one, other in ((images, masks), (masks, images))
        for stem, path in one.items()
        if stem not in other
    )
    # A split without any mask is one to predict.
    unpaired = alone if masks else []
    chosen = spread(sorted(images), request["decode"])
    with ThreadPoolExecutor(request["processes"]) as pool:
        looked = list(pool.map(lambda stem: look(root, images[stem], masks.get(stem)), chosen))
    problems = [*doubled(root, split), *(each for found, _, _ in looked for each in found)]
    broken = [{"path": path, "error": error} for path, error in problems]
    levels: Counter[int] = Counter()
    for _, found, _ in looked:
        levels.update(found)
    return {
        "name": split,
        "images": len(images),
        "masks": len(masks),
        "unpaired": unpaired[:NAMED],
        "unpaired_count": len(unpaired),
        "decoded": len(chosen),
        "broken": broken[:NAMED],
        "broken_count": len(broken),
        "levels": dict(sorted(levels.items())),
        "coloured": any(coloured for _, _, coloured in looked),
    }


def files_of(folder: Path) -> dict[str, Path]:
    """Return the files of *folder* by name without ending; hidden ones are the trainer's to trip over."""
    if not folder.is_dir():
        return {}
    return {path.stem: path for path in sorted(folder.iterdir())}


def doubled(root: Path, split: str) -> list[tuple[str, str]]:
    """Return files that another one is called like, but for the ending: pairs and results go by that name."""
    found = []
    for folder in (root / "images" / split, root / "masks" / split):
        kept = files_of(folder)
        for path in sorted(folder.iterdir()) if kept else ():
            if kept[path.stem] != path:
                said = f"{kept[path.stem].name} has the same name but for the ending"
                found.append((path.relative_to(root).as_posix(), said))
    return found


def spread(stems: list[str], limit: int) -> list[str]:
    """Return at most *limit* of *stems*, evenly spread; all for 0."""
    if not limit or len(stems) <= limit:
        return stems
    return [stems[index * len(stems) // limit] for index in range(limit)]


def look(root: Path, image: Path, mask: Path | None) -> tuple[list[tuple[str, str]], list[int], bool]:
    """Return what is wrong with an image and its mask, the mask's grey levels, and whether it has colours."""
    from PIL import Image

    problems: list[tuple[str, str]] = []
    sizes, levels, coloured = [], [], False
    for path in (image, *([mask] if mask else [])):
        try:
            with Image.open(path) as opened:
                opened.load()
                sizes.append(opened.size)
                if path == mask and opened.mode in _BYTES:
                    levels = [level for level, count in enumerate(opened.histogram()) if count]
                elif path == mask and opened.mode in _WIDE:
                    levels = sorted({int(level) for level in opened.getdata()})
                elif path == mask:
                    coloured = True
        except Exception as error:
            text = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
            problems.append((path.relative_to(root).as_posix(), text[:200]))
    if mask and len(sizes) == 2 and sizes[0] != sizes[1]:
        (width, height), (other_width, other_height) = sizes
        said = f"it is {other_width} x {other_height}, its image {width} x {height}"
        problems.append((mask.relative_to(root).as_posix(), said))
    return problems, levels, coloured


def class_file(path: Path) -> list[str] | None:
    """Return the lines of ``classes.txt``; None where there is none."""
    if not path.is_file() or path.stat().st_size > 10_000_000:
        return None
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return [line.strip() for line in lines if line.strip()]


if __name__ == "__main__":
    from porter.weights.kernel.serve import serve

    sys.exit(serve(run))
