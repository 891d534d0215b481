"""The dataset root of the gates: a few links, one class order, nothing written into the user's folder."""

from __future__ import annotations

from pathlib import Path

from porter.records.inspection import DatasetFacts, SplitFacts
from porter.views import EVAL_IMAGES, TRAIN_IMAGES, make_view


def dataset(root: Path, classes: tuple[str, ...], per_class: int, splits: tuple[str, ...]) -> DatasetFacts:
    for split in splits:
        for name in classes:
            folder = root / split / name
            folder.mkdir(parents=True)
            for number in range(per_class):
                (folder / f"{number}.png").write_bytes(b"x")
            (folder / "ignored.bmp").write_bytes(b"x")
    return DatasetFacts(
        root=str(root),
        classes=classes,
        splits=tuple(
            SplitFacts(name=split, folder=str(root / split), images=dict.fromkeys(classes, per_class))
            for split in splits
        ),
        against_labels="different",
    )


def test_images_are_spread_over_the_classes(tmp_path: Path) -> None:
    facts = dataset(tmp_path / "data", ("b", "a", "c"), 20, ("train", "val", "test"))
    view = make_view(facts, tmp_path / "view", ("png",))
    assert view.images == {"train": TRAIN_IMAGES, "val": EVAL_IMAGES, "test": EVAL_IMAGES}
    counts = {name: len(list((tmp_path / "view/train" / name).iterdir())) for name in ("a", "b", "c")}
    assert counts == dict.fromkeys(("a", "b", "c"), TRAIN_IMAGES // 3)
    assert not list((tmp_path / "view").rglob("*.bmp"))


def test_the_order_of_the_classes_is_kept_and_the_users_folder_is_not_touched(tmp_path: Path) -> None:
    facts = dataset(tmp_path / "data", ("zebra", "ant"), 2, ("train", "val"))
    before = sorted(path.relative_to(tmp_path) for path in (tmp_path / "data").rglob("*"))
    view = make_view(facts, tmp_path / "view", ("png",))
    assert (Path(view.root) / "classes.txt").read_text() == "zebra\nant\n"
    assert sorted(path.relative_to(tmp_path) for path in (tmp_path / "data").rglob("*")) == before


def test_without_a_test_split_inference_takes_val(tmp_path: Path) -> None:
    facts = dataset(tmp_path / "data", ("a",), 3, ("train", "val"))
    view = make_view(facts, tmp_path / "view", ("png",))
    links = list((tmp_path / "view/test").iterdir())
    assert view.images["test"] == 3
    assert all(link.resolve().is_relative_to(tmp_path / "data/val") for link in links)


def test_a_view_is_made_anew(tmp_path: Path) -> None:
    facts = dataset(tmp_path / "data", ("a",), 3, ("train", "val"))
    make_view(facts, tmp_path / "view", ("png",))
    (tmp_path / "view/train/a/stale.png").write_bytes(b"x")
    make_view(facts, tmp_path / "view", ("png",))
    assert not (tmp_path / "view/train/a/stale.png").exists()


def test_test_images_are_found_wherever_they_lie(tmp_path: Path) -> None:
    facts = dataset(tmp_path / "data", ("a",), 2, ("train", "val", "test"))
    for file in (tmp_path / "data/test/a").iterdir():
        file.rename(tmp_path / "data/test" / file.name)
    assert make_view(facts, tmp_path / "view", ("png",)).images["test"] == 2
    links = list((tmp_path / "view/test").iterdir())
    assert all(link.resolve().parent == tmp_path / "data/test" for link in links)
