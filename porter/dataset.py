"""A dataset of images by class: checking the one that was given, or making a small one.

Images are opened in the sandbox only; here the probe's findings are judged.
"""

from __future__ import annotations

import os
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, Protocol, TypeVar

from porter.errors import DataError, SettingError
from porter.inspection import named_labels
from porter.records.base import Record, digest
from porter.records.inspection import DatasetFacts, SplitFacts
from porter.records.probes import CheckDataset, DatasetScan, MadeDataset, MakeDataset, SplitScan

T = TypeVar("T")

SPLITS = ("train", "val", "test")
ALIASES = {"validation": "val", "valid": "val"}
_LAYOUT = (
    "images lie in <folder>/train/<class>/, <folder>/val/<class>/ and, if there are some, <folder>/test/"
)
_DECODED = 50_000
_IMAGES = {"train": 4, "val": 2, "test": 2}
_FILLED = 32
"""Classes that get images; the others of a model with many labels get empty folders."""
_EDGES = (32, 96)
_GLOB = re.compile(r"[*?\[]")
_UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029/\\\\*?\\[\\]]+")
"""What is no part of a file name, breaks a line, or is a pattern to glob."""
_ENDS = re.compile(r"\A[\s.]+|[\s.]+\Z")
_LONGEST = 120
_LISTED_FILES = 20_000


class Probes(Protocol):
    """What runs a probe in a sandbox, as a session does."""

    def probe(
        self,
        name: str,
        request: Record,
        answer: type[T],
        *,
        read: Sequence[Path | str] = (),
        write: Sequence[Path | str] = (),
    ) -> T:
        """Run the probe *name*; *read* and *write* are the paths that it may see and change."""


CLASS_COUNT = "dataset.num_classes"
"""The setting that asks for another number of classes than the model has."""


def asked_classes(settings: Mapping[str, str], labels: Sequence[str]) -> int | None:
    """Return the number of classes that the head is to have where it is not the model's; None otherwise.

    Raises:
        SettingError: the setting is no number of classes.
    """
    text = settings.get(CLASS_COUNT)
    if text is None:
        return None
    if not text.strip().isdecimal() or int(text) < 2:
        raise SettingError(
            CLASS_COUNT,
            f"--set {CLASS_COUNT}: {text!r} is no number of classes.",
            why="a classifier tells two classes or more apart",
            next_step=f"porter port ... --set {CLASS_COUNT}={max(2, len(labels))}",
        )
    return None if int(text) == len(labels) else int(text)


def asked_labels(settings: Mapping[str, str], labels: Sequence[str]) -> tuple[str, ...]:
    """Return the labels that images are made for: the model's, or nameless ones of the number asked for."""
    asked = asked_classes(settings, labels)
    return tuple(labels) if asked is None else tuple(f"LABEL_{index}" for index in range(asked))


def refuse_other_count(facts: DatasetFacts, settings: Mapping[str, str], labels: Sequence[str]) -> None:
    """Turn away images of another number of classes than was asked for.

    Raises:
        DataError: they have another one.
    """
    asked = asked_classes(settings, labels)
    if asked is not None and asked != len(facts.classes):
        raise DataError(
            f"{facts.root} has {len(facts.classes)} classes, but --set {CLASS_COUNT}={asked} was given.",
            why="the head of the converted checkpoint has a row for each of them",
            next_step=f"--set {CLASS_COUNT}={len(facts.classes)}, or leave it out",
        )


def check(probes: Probes, root: Path, labels: Sequence[str], suffixes: Sequence[str]) -> DatasetFacts:
    """Return what the dataset in *root* is; nothing is written there.

    Args:
        probes: runs the probe that opens the images.
        root: folder with one folder per split.
        labels: the model's labels by index.
        suffixes: endings of the image files that the trainer finds, case-sensitive.

    Raises:
        DataError: the trainer could not use it as it is; says where and what to do.
    """
    root = root.expanduser().resolve()
    if not root.is_dir():
        raise DataError(
            f"There is no folder {root}.", why=_LAYOUT, next_step="give --data an existing folder"
        )
    _refuse_pattern(root)
    endings = tuple(suffix if suffix.startswith(".") else f".{suffix}" for suffix in suffixes)
    request = CheckDataset(
        root=str(root),
        splits=(*SPLITS, *ALIASES),
        suffixes=endings,
        decode=_DECODED,
        processes=os.cpu_count() or 1,
    )
    return judge(root, probes.probe("check_dataset", request, DatasetScan, read=[root]), labels, endings)


def judge(root: Path, scan: DatasetScan, labels: Sequence[str], suffixes: Sequence[str]) -> DatasetFacts:
    """Return the facts of a scanned dataset; pure.

    Raises:
        DataError: the trainer could not use it as it is.
    """
    notes: list[str] = []
    splits = _named_splits(root, scan)
    _refuse_names(scan, splits)
    train, val = splits["train"], splits["val"]
    _refuse_unequal(train, val)
    _refuse_empty(train, suffixes)
    if scan.unreadable_count:
        listed = "; ".join(f"{image.path} ({image.error})" for image in scan.unreadable)
        more = scan.unreadable_count - len(scan.unreadable)
        raise DataError(
            f"{scan.unreadable_count} of {scan.decoded} images cannot be read.",
            why=listed + (f"; and {more} more" if more else ""),
            next_step="repair or remove them",
        )
    for split in splits.values():
        notes += _split_notes(split, suffixes)
    empty = sorted(name for name, count in val.images.items() if not count)
    if len(empty) == len(val.images):
        raise DataError(
            f"{root} has no image in val.",
            why=_LAYOUT,
            next_step="put some images of every class into val",
        )
    if empty:
        notes.append(f"val has no image of {_some(empty)}")
    notes += _test_notes(splits, train)
    found = sum(sum(split.images.values()) for split in splits.values())
    if scan.decoded < found:
        notes.append(f"{scan.decoded} of {found} images were decoded, evenly spread")
    classes, against = order(train.images, labels)
    if against == "different":
        notes.append(f"the dataset has {len(classes)} classes of its own; the model has {len(labels)} labels")
    if scan.class_file is not None and tuple(scan.class_file) != classes:
        notes.append("classes.txt in the folder says otherwise; porter writes its own elsewhere")
    return DatasetFacts(
        root=str(root),
        classes=classes,
        splits=tuple(
            SplitFacts(
                name=name,
                folder=str(root / split.name),
                images=dict(split.images),
                ignored=sum(split.ignored.values()),
            )
            for name, split in splits.items()
        ),
        against_labels=against,
        notes=tuple(notes),
    )


def order(
    folders: Iterable[str], labels: Sequence[str]
) -> tuple[tuple[str, ...], Literal["equal", "permuted", "different", "no labels"]]:
    """Return the classes in the one order that everything follows, and how they relate to the labels.

    The same names as the labels have as folders come in the labels' order, so that the head keeps its rows;
    other names come sorted, as the trainer would list them.
    """
    names = tuple(sorted(folders))
    if not named_labels(labels):
        return names, "no labels"
    named = folder_names(labels)
    if set(names) != set(named):
        return names, "different"
    return named, "equal" if names == named else "permuted"


def generate(probes: Probes, root: Path, labels: Sequence[str], size: int) -> DatasetFacts:
    """Make a small dataset in *root* with one class per label; what lies there is replaced.

    Args:
        probes: runs the probe that writes the images.
        root: porter's own folder for them.
        labels: the model's labels by index.
        size: edge length that the model takes; images are no larger than needed to try it.

    Raises:
        DataError: *root* holds characters that the trainer reads as a pattern.
    """
    _refuse_pattern(root)
    classes = folder_names(labels or ("LABEL_0", "LABEL_1"))
    work = root.with_name(f".{root.name}.making")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    request = MakeDataset(
        root=str(work / "images"),
        classes=classes,
        size=min(max(size, _EDGES[0]), _EDGES[1]),
        images=_IMAGES,
        filled=_FILLED,
    )
    probes.probe("make_dataset", request, MadeDataset, write=[work])
    if root.exists():
        shutil.rmtree(root)
    (work / "images").rename(root)
    shutil.rmtree(work)
    changed = [name for name, label in zip(classes, labels, strict=False) if name != label]
    notes = (
        [f"{len(changed)} labels were made fit for folder names, such as {changed[0]!r}"] if changed else []
    )
    against: Literal["equal", "permuted", "no labels"] = "no labels"
    if named_labels(labels):
        against = "equal" if list(classes) == sorted(classes) else "permuted"
    return DatasetFacts(
        root=str(root),
        classes=classes,
        splits=tuple(
            SplitFacts(name=name, folder=str(root / name), images=_counts(classes, count))
            for name, count in _IMAGES.items()
        ),
        against_labels=against,
        generated=True,
        notes=tuple(notes),
    )


def _counts(classes: Sequence[str], count: int) -> dict[str, int]:
    return {name: count if index < _FILLED else 0 for index, name in enumerate(classes)}


def folder_names(labels: Sequence[str]) -> tuple[str, ...]:
    """Return a folder name for each label: different names, none of which a path, a glob or a line breaks.

    A label that is such a name keeps it; of several equal ones the first does.
    """
    fit = [_fit(label) or f"class_{index}" for index, label in enumerate(labels)]
    kept = {name for name, label in zip(fit, labels, strict=True) if name == label}
    taken: set[str] = set()
    numbers: dict[str, int] = {}
    names: list[str] = []
    for name, label in zip(fit, labels, strict=True):
        unique = name
        while unique in taken or (unique in kept and unique != label):
            numbers[name] = numbers.get(name, 1) + 1
            unique = f"{name}_{numbers[name]}"
        taken.add(unique)
        names.append(unique)
    return tuple(names)


def _fit(label: str) -> str:
    """Return the label as far as it can be a file name; empty where nothing of it can."""
    # Half of a surrogate pair is no text; what stands in its place is a pattern to glob.
    text = _UNFIT.sub("_", label.encode("utf-8", "replace").decode("utf-8"))
    text = _ENDS.sub("", text).encode("utf-8")[:_LONGEST].decode("utf-8", "ignore")
    return _ENDS.sub("", text)


def listing(data: str | None) -> str:
    """Return a fingerprint of a dataset's folder by names, sizes and times; empty without a dataset.

    Of a large dataset only the folders count, whose times change when images come and go.
    """
    if data is None:
        return ""
    root = Path(data).expanduser()
    rows: list[tuple[str, int, int]] = []
    files: list[tuple[str, int, int]] = []
    for where, folders, names in os.walk(root):
        folders.sort()
        rows.append((os.path.relpath(where, root), len(names), Path(where).stat().st_mtime_ns))
        for name in sorted(names) if len(files) < _LISTED_FILES else ():
            stat = Path(where, name).lstat()
            files.append((os.path.relpath(Path(where, name), root), stat.st_size, stat.st_mtime_ns))
    printable = [(ascii(path), *numbers) for path, *numbers in (*rows, *files[:_LISTED_FILES])]
    return digest(printable)


def _named_splits(root: Path, scan: DatasetScan) -> dict[str, SplitScan]:
    splits: dict[str, SplitScan] = {}
    for split in scan.splits:
        name = ALIASES.get(split.name, split.name)
        if name in splits:
            raise DataError(
                f"{root} has both {splits[name].name} and {split.name}.",
                why=f"both mean {name}",
                next_step="keep one of them",
            )
        splits[name] = split
    missing = [name for name in ("train", "val") if name not in splits]
    if missing:
        seen = f"; it has {_some(scan.others)}" if scan.others else ""
        raise DataError(
            f"{root} has no folder {' and no folder '.join(missing)}.",
            why=_LAYOUT + seen,
            next_step="arrange the images like that; links to folders inside of it are fine",
        )
    return {name: splits[name] for name in SPLITS if name in splits}


def _refuse_pattern(root: Path) -> None:
    if _GLOB.search(str(root)):
        raise DataError(
            f"{root} cannot hold the images.",
            why="TAO looks for images with a pattern, and '*', '?' or '[' in the path become part of it",
            next_step="move or rename the folder",
        )


def _refuse_names(scan: DatasetScan, splits: dict[str, SplitScan]) -> None:
    if scan.undecodable:
        raise DataError(
            f"The name of {_some(scan.undecodable)} is not UTF-8.",
            why="classes.txt could not hold it",
            next_step="rename the folder",
        )
    for split in splits.values():
        if split.links:
            raise DataError(
                f"{split.name} has links to nowhere, or out of the folder: {_some(split.links)}.",
                why="the sandbox shows the given folder alone",
                next_step="copy the images into it, or give the folder that holds them",
            )
        for name in split.images:
            if name != name.strip() or re.search(r"[\r\n]", name):
                raise DataError(
                    f"The class {name!r} cannot stand in classes.txt.",
                    why="TAO reads a class per line, without blanks at its ends",
                    next_step="rename the folder",
                )
            if _GLOB.search(name):
                raise DataError(
                    f"TAO would not find the images of the class {name!r}.",
                    why="it looks for them with a pattern, and '*', '?' or '[' in the name become part of it",
                    next_step="rename the folder",
                )


def _refuse_unequal(train: SplitScan, val: SplitScan) -> None:
    if not train.images:
        raise DataError(
            f"{train.name} has no class folders.",
            why=f"{train.stray} images lie there directly" if train.stray else _LAYOUT,
            next_step="put the images of each class into a folder with its name",
        )
    only_train = sorted(set(train.images) - set(val.images))
    only_val = sorted(set(val.images) - set(train.images))
    if only_train or only_val:
        parts = [f"only {train.name} has {_some(only_train)}"] if only_train else []
        parts += [f"only {val.name} has {_some(only_val)}"] if only_val else []
        raise DataError(
            f"{train.name} and {val.name} have different classes.",
            why="; ".join(parts),
            next_step="give both the same class folders",
        )


def _refuse_empty(train: SplitScan, suffixes: Sequence[str]) -> None:
    empty = sorted(name for name, count in train.images.items() if not count)
    if empty:
        other = f"; files with other endings lie there: {_endings(train)}" if train.ignored else ""
        raise DataError(
            f"{train.name} has no image of {_some(empty)}.",
            why=f"TAO reads files that end in {', '.join(suffixes)}{other}",
            next_step="add images, rename them, or remove the empty folders from every split",
        )


def _split_notes(split: SplitScan, suffixes: Sequence[str]) -> list[str]:
    notes = []
    if split.ignored:
        notes.append(
            f"TAO does not read {sum(split.ignored.values())} files of {split.name}: {_endings(split)}; "
            f"it takes {', '.join(suffixes)}"
        )
    if split.stray:
        notes.append(f"{split.stray} images of {split.name} lie beside or below the class folders")
    return notes


def _test_notes(splits: dict[str, SplitScan], train: SplitScan) -> list[str]:
    test = splits.get("test")
    if test is None:
        return ["there is no test folder; inference uses val"]
    if not sum(test.images.values()) + test.stray:
        del splits["test"]
        return ["the test folder holds no image that TAO reads; inference uses val"]
    odd = sorted(set(test.images) ^ set(train.images)) if test.images else []
    return [f"test and train differ in the classes {_some(odd)}; inference ignores them"] if odd else []


def _endings(split: SplitScan) -> str:
    counted = Counter(split.ignored).most_common(5)
    return ", ".join(f"{count} {ending or 'without ending'}" for ending, count in counted)


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"
