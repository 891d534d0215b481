"""What is in a dataset that a person names, checked as far as this machine can read it."""

from __future__ import annotations

import json
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from porter.errors import DataError, UsageError
from porter.launch.unpack import leaves
from porter.records.catalog import CatalogEntry, DataPart, DataSource
from porter.records.training import DataFacts

ARCHIVES = (".tar.gz", ".tgz", ".zip", ".tar")
REMOTE = "s3://"

_IMAGES = (".jpg", ".jpeg", ".png", ".bmp", ".ppm", ".tif", ".tiff", ".webp")
_COCO_TASKS = ("object-detection", "instance-segmentation")
_COCO = "annotations.json"
_CLASSES = "classes.txt"
_EXAMPLES = 3


def location(uri: str, option: str) -> str:
    """Return a URI as plans have it: S3 as it is, a local path absolute.

    Raises:
        UsageError: it is another kind of URI, or holds a secret; that is not shown.
        DataError: there is no such folder.
    """
    scheme, mark, rest = uri.partition("://")
    if not mark:
        path = Path(uri).expanduser().absolute()
        if not path.is_dir():
            raise DataError(f"{option}: {path} is no folder.", next_step="name a folder, or s3://BUCKET/PATH")
        return str(path)
    if "@" in rest or "?" in rest:
        raise UsageError(
            f"{option}: a URI with a name, a secret or a query in it is not taken.",
            why="plans and logs show it",
            next_step="set ACCESS_KEY and SECRET_KEY, and name s3://BUCKET/PATH",
        )
    if uri.startswith(REMOTE) and rest:
        return uri.rstrip("/")
    raise UsageError(
        f"{option}: {scheme}:// is not read.", why="it can be a local folder, or s3://BUCKET/PATH"
    )


def stem(path: str) -> str:
    """Return the folder that an archive becomes, named like it; another path is itself."""
    for ending in ARCHIVES:
        if path.endswith(ending):
            return path.removesuffix(ending)
    return path


def parts(source: DataSource) -> Iterator[tuple[str, DataPart]]:
    """Yield the paths that a spec key, or its fields by name, are given."""
    if source.value is not None:
        yield "", source.value
    yield from source.parts.items()


def taken(part: DataPart) -> DataPart:
    """Return the fallback of a part as a part."""
    return msgspec.structs.replace(part, path=part.fallback, fallback="")


def check(uri: str, sources: Iterable[DataSource], found: CatalogEntry) -> DataFacts:
    """Return what is in a dataset.

    Args:
        uri: as :func:`location` gives it.
        sources: spec keys that are given files of it.
        found: the network.

    Raises:
        DataError: something is missing or wrong in it; says how much, with examples.
    """
    if uri.startswith(REMOTE):
        return DataFacts(uri=uri, kind="remote")
    try:
        return _local(Path(uri), tuple(sources), found)
    except OSError as error:
        raise DataError(f"{uri} cannot be read.", why=str(error), next_step="make it readable") from error


def _local(folder: Path, sources: tuple[DataSource, ...], found: CatalogEntry) -> DataFacts:
    named = [part for source in sources for _, part in parts(source) if part.kind != "format" and part.path]
    wanted = [_at_hand(folder, part) for part in named]
    fallbacks = tuple(sorted({one.path for one, taken in zip(named, wanted, strict=True) if taken != one}))
    absent = sorted({part.path for part in wanted if not _there(folder, part)})
    if absent:
        raise DataError(
            f"{folder} lacks {', '.join(absent)}.",
            why=f"{found.title} reads it from there" + _or_folders(absent),
            next_step=f"put it there; there is: {_some(sorted(path.name for path in folder.iterdir()))}",
        )
    archives = tuple(
        sorted(
            {part.path for part in wanted if stem(part.path) != part.path}
            - {part.path for part in wanted if (folder / stem(part.path)).is_dir()}
        )
    )
    images = next((part.path for part in wanted if part.kind == "folder"), "")
    facts = DataFacts(uri=str(folder), kind="files", archives=archives)
    if found.task in _COCO_TASKS and images and any(part.path == _COCO for part in wanted):
        facts = _coco(folder, images, archives)
    elif found.task == "image-classification" and images:
        facts = _class_folders(folder, images, archives)
    return msgspec.structs.replace(facts, fallbacks=fallbacks)


def _at_hand(folder: Path, part: DataPart) -> DataPart:
    """Return the part, or its fallback where that alone is there."""
    if not part.fallback or _there(folder, part):
        return part
    other = taken(part)
    return other if _there(folder, other) else part


def _there(folder: Path, part: DataPart) -> bool:
    if part.kind == "folder":
        return (folder / stem(part.path)).is_dir() or (folder / part.path).exists()
    return (folder / part.path).is_file()


def _or_folders(absent: list[str]) -> str:
    folders = [stem(path) for path in absent if stem(path) != path]
    return f"; a folder {', '.join(folders)} does as well" if folders else ""


def _coco(folder: Path, images: str, archives: tuple[str, ...]) -> DataFacts:
    path = folder / _COCO
    try:
        document = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{path} is no JSON.", why=str(error), next_step="write it anew, as COCO has it"
        ) from error
    listed = [_entries(document, name, path) for name in ("images", "annotations", "categories")]
    pictures, annotations, categories = listed
    for name, entries in zip(("images", "annotations", "categories"), listed, strict=True):
        if not entries:
            raise DataError(
                f"{path} has no {name}.", why=_counts(*listed), next_step="add some, or name another dataset"
            )
    _refuse_ids("categories", "id", categories, path)
    _refuse_ids("annotations", "category_id", annotations, path)
    _refuse_unknown("category_id", annotations, {entry["id"] for entry in categories}, path)
    _refuse_unknown("image_id", annotations, _picture_ids(pictures, path), path)
    names = [str(entry.get("file_name") or "") for entry in pictures]
    inside = _inside(folder, images)
    missing = [name for name in names if not name or not inside(name)]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(names)} images of {path} are not in {_source(folder, images)}.",
            why=f"such as {_some([name or '(no file_name)' for name in missing])}",
            next_step="file_name is read below the folder of the images",
        )
    ids = [entry["id"] for entry in categories] + [entry["category_id"] for entry in annotations]
    return DataFacts(
        uri=str(folder),
        kind="coco",
        archives=archives,
        images=len(pictures),
        annotations=len(annotations),
        categories=len(categories),
        max_category_id=max(ids),
    )


def _entries(document: Any, name: str, path: Path) -> list[dict[str, Any]]:
    entries = document.get(name) if isinstance(document, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise DataError(
            f"{path} is no COCO file: it has no list of {name}.",
            next_step="it needs images, annotations and categories",
        )
    return entries


def _counts(images: list[Any], annotations: list[Any], categories: list[Any]) -> str:
    return f"{len(images)} images, {len(annotations)} annotations, {len(categories)} categories"


def _refuse_ids(name: str, key: str, entries: list[dict[str, Any]], path: Path) -> None:
    wrong = [entry.get(key) for entry in entries if not _is_id(entry.get(key))]
    if wrong:
        raise DataError(
            f"{len(wrong)} of {len(entries)} {name} of {path} have no whole number as {key}.",
            why=f"such as {_some([json.dumps(value) for value in wrong])}",
            next_step="ids of categories are whole numbers, 0 or greater",
        )


def _is_id(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _picture_ids(pictures: list[dict[str, Any]], path: Path) -> set[Any]:
    wrong = [entry.get("id") for entry in pictures if not isinstance(entry.get("id"), int | str)]
    if wrong:
        raise DataError(
            f"{len(wrong)} of {len(pictures)} images of {path} have no id.",
            why=f"such as {_some([json.dumps(value) for value in wrong])}",
            next_step="give each an id of its own",
        )
    return {entry["id"] for entry in pictures}


def _refuse_unknown(key: str, entries: list[dict[str, Any]], known: set[Any], path: Path) -> None:
    strange = [
        value
        for value in (entry.get(key) for entry in entries)
        if not isinstance(value, int | str) or value not in known
    ]
    if strange:
        raise DataError(
            f"{len(strange)} of {len(entries)} annotations of {path} have a value of {key} that nothing has.",
            why=f"such as {_some(list(dict.fromkeys(json.dumps(value) for value in strange)))}",
            next_step="add what they mean, or take them away",
        )


def _class_folders(folder: Path, images: str, archives: tuple[str, ...]) -> DataFacts:
    root = folder / stem(images)
    if root.is_dir():
        counts = Counter({path.name: 0 for path in root.iterdir() if path.is_dir()})
        files = (path.relative_to(root) for path in root.rglob("*") if path.is_file())
        counts.update(path.parts[0] for path in files if _is_image(path) and len(path.parts) > 1)
    else:
        members, folders = _members(folder / images)
        counts = Counter(dict.fromkeys(folders, 0))
        counts.update(PurePosixPath(name).parts[0] for name in members if "/" in name and _is_image(name))
    if not counts:
        raise DataError(
            f"{_source(folder, images)} has no class folders.",
            next_step="put the images of each class into a folder named like it",
        )
    empty = sorted(name for name, count in counts.items() if not count)
    if empty:
        raise DataError(
            f"{len(empty)} of {len(counts)} classes of {_source(folder, images)} have no images.",
            why=_some(empty),
            next_step="add images, or take the empty folders away",
        )
    listed = folder / _CLASSES
    if listed.is_file():
        _compare_classes(listed, set(counts), _source(folder, images))
    return DataFacts(
        uri=str(folder),
        kind="classes",
        archives=archives,
        images=sum(counts.values()),
        classes=dict(sorted(counts.items())),
    )


def _compare_classes(path: Path, folders: set[str], source: Path) -> None:
    try:
        names = {line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()}
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read.", why=str(error), next_step="write it anew") from error
    for these, others, what in (
        (folders, names, f"{source} has folders that {path.name} does not list"),
        (names, folders, f"{path} lists classes that have no folder in {source.name}"),
    ):
        if strange := sorted(these - others):
            raise DataError(
                f"{what}: {len(strange)}.",
                why=_some(strange),
                next_step=f"{path.name} has the name of each class folder on a line",
            )


def _inside(folder: Path, images: str) -> Callable[[str], bool]:
    """Return what says whether the images hold a file, as the folder or as the archive that becomes it."""
    root = folder / stem(images)
    if root.is_dir():
        return lambda name: not leaves(name) and (root / name).is_file()
    names = set(_members(folder / images)[0])
    return lambda name: not leaves(name) and PurePosixPath(name).as_posix() in names


def _members(path: Path) -> tuple[list[str], list[str]]:
    """Return files of an archive, and its uppermost folders, below the folder that it becomes.

    An archive may bring that folder along, or its content alone.
    """
    try:
        if path.name.endswith(".zip"):
            with zipfile.ZipFile(path) as zipped:
                infos = [(info.filename.rstrip("/"), info.is_dir()) for info in zipped.infolist()]
        else:
            with tarfile.open(path) as tar:
                infos = [(member.name, member.isdir()) for member in tar]
    except (OSError, tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, ValueError) as error:
        raise DataError(
            f"{path} cannot be unpacked.",
            why=str(error) or type(error).__name__,
            next_step="pack it anew",
        ) from error
    outside = [name for name, _ in infos if leaves(name)]
    if outside:
        raise DataError(
            f"{path} has files that would be unpacked outside its folder.",
            why=_some(outside),
            next_step="pack it anew, with paths below the folder",
        )
    own = f"{stem(path.name)}/"
    entries = [(PurePosixPath(name).as_posix(), is_folder) for name, is_folder in infos]
    entries = [(name, is_folder) for name, is_folder in entries if name not in (".", own.rstrip("/"))]
    if entries and all(name.startswith(own) for name, _ in entries):
        entries = [(name.removeprefix(own), is_folder) for name, is_folder in entries]
    files = [name for name, is_folder in entries if not is_folder]
    return files, [name for name, is_folder in entries if is_folder and "/" not in name]


def _is_image(path: PurePosixPath | Path | str) -> bool:
    return str(path).lower().endswith(_IMAGES)


def _source(folder: Path, images: str) -> Path:
    root = folder / stem(images)
    return root if root.is_dir() else folder / images


def _some(names: list[str]) -> str:
    more = f", and {len(names) - _EXAMPLES} more" if len(names) > _EXAMPLES else ""
    return ", ".join(names[:_EXAMPLES]) + more
