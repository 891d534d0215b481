"""What is found in datasets, and what is refused of them."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from porter.errors import DataError, UsageError
from porter.launch import catalog, data
from porter.launch.places import read_by
from porter.records.training import DataFacts
from tests.launch.fields import class_folders, coco, edit, pack


def looked_at(folder: Path, model: str = "dino", origin: str = "train") -> DataFacts:
    found = catalog.entry(model)
    sources = [one for one in read_by(found, "train", found.formats[0]) if one.origin == origin]
    return data.check(str(folder), sources, found)


@pytest.mark.parametrize("model", ["dino", "mal"])
def test_a_coco_folder_is_counted(tmp_path: Path, model: str) -> None:
    facts = looked_at(coco(tmp_path / "d"), model)
    assert facts == DataFacts(
        uri=str(tmp_path / "d"), kind="coco", images=3, annotations=3, categories=2, max_category_id=4
    )


@pytest.mark.parametrize("entry", ["*", "./*", "images/*", "./images/*"])
def test_an_archive_becomes_the_folder_that_is_named_like_it(tmp_path: Path, entry: str) -> None:
    facts = looked_at(coco(tmp_path / "d", archive=entry))
    assert (facts.images, facts.archives) == (3, ("images.tar.gz",))


def test_a_folder_goes_before_an_archive(tmp_path: Path) -> None:
    folder = coco(tmp_path / "d")
    (folder / "images.tar.gz").write_bytes(b"broken")
    assert looked_at(folder).archives == ()


def first(name: str, **fields: Any) -> Callable[[Any], None]:
    return lambda document: document[name][0].update(fields)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda document: document.clear(), "no list of images"),
        (lambda document: document.update(images=[1]), "no list of images"),
        (lambda document: document.update(annotations=[]), "has no annotations"),
        (first("images", file_name="gone.jpg"), "1 of 3 images"),
        (first("images", file_name="../annotations.json"), "1 of 3 images"),
        (first("images", file_name=None), "(no file_name)"),
        (first("images", id=None), "1 of 3 images"),
        (first("categories", id="1"), "1 of 2 categories"),
        (first("categories", id=True), "such as true"),
        (first("annotations", category_id=1.0), "such as 1.0"),
        (first("annotations", category_id=-1), "such as -1"),
        (first("annotations", category_id=9), "1 of 3 annotations"),
        (first("annotations", image_id=77), "have a value of image_id that nothing has"),
        (first("annotations", image_id=[1]), "have a value of image_id that nothing has"),
    ],
)
def test_wrong_annotations_are_refused_with_counts(
    tmp_path: Path, change: Callable[[Any], None], said: str
) -> None:
    folder = edit(coco(tmp_path / "d"), change)
    with pytest.raises(DataError) as caught:
        looked_at(folder)
    assert said in str(caught.value)
    assert caught.value.next_step


def test_more_than_a_few_missing_images_are_counted(tmp_path: Path) -> None:
    folder = coco(tmp_path / "d", images=6)
    for number in range(5):
        (folder / "images" / f"{number}.jpg").unlink()
    with pytest.raises(DataError, match="5 of 6") as caught:
        looked_at(folder)
    assert "0.jpg, 1.jpg, 2.jpg, and 2 more" in str(caught.value)


def test_an_image_that_the_archive_lacks_is_missing(tmp_path: Path) -> None:
    folder = edit(coco(tmp_path / "d", archive="images/*"), first("images", file_name="gone.jpg"))
    with pytest.raises(DataError, match=r"not in .*images\.tar\.gz"):
        looked_at(folder)


@pytest.mark.parametrize("text", ["", "{", "\xff", "[" * 100_000])
def test_annotations_that_are_no_json_are_refused(tmp_path: Path, text: str) -> None:
    folder = coco(tmp_path / "d")
    (folder / "annotations.json").write_text(text, encoding="latin-1")
    with pytest.raises(DataError, match="is no JSON"):
        looked_at(folder)


def test_everything_that_is_missing_is_named(tmp_path: Path) -> None:
    (tmp_path / "other.txt").write_text("")
    with pytest.raises(DataError) as caught:
        looked_at(tmp_path)
    assert "lacks annotations.json, images.tar.gz" in str(caught.value)
    assert "a folder images does as well" in str(caught.value)
    assert "there is: other.txt" in str(caught.value)


def test_a_broken_archive_is_refused(tmp_path: Path) -> None:
    folder = coco(tmp_path / "d", archive="*")
    whole = (folder / "images.tar.gz").read_bytes()
    for content in (b"nothing", whole[: len(whole) // 2]):
        (folder / "images.tar.gz").write_bytes(content)
        with pytest.raises(DataError, match="cannot be unpacked"):
            looked_at(folder)


@pytest.mark.parametrize("name", ["../x.jpg", "/x.jpg", "images/../../x.jpg"])
def test_an_archive_that_leaves_its_folder_is_refused(tmp_path: Path, name: str) -> None:
    folder = coco(tmp_path / "d", archive="*")
    pack(folder / "images.tar.gz", ["0.jpg", name])
    with pytest.raises(DataError, match="outside its folder"):
        looked_at(folder)


def test_class_folders_are_counted(tmp_path: Path) -> None:
    facts = looked_at(class_folders(tmp_path, {"cat": 2, "ant": 1}), "classification_pyt")
    assert (facts.kind, facts.images, facts.classes) == ("classes", 3, {"ant": 1, "cat": 2})


def test_class_folders_of_an_archive_are_counted(tmp_path: Path) -> None:
    pack(tmp_path / "images_train.tar.gz", ["images_train/", "images_train/cat/", "images_train/cat/a.jpg"])
    (tmp_path / "classes.txt").write_text("cat\n")
    facts = looked_at(tmp_path, "classification_pyt")
    assert (facts.classes, facts.archives) == ({"cat": 1}, ("images_train.tar.gz",))


def test_empty_classes_are_refused(tmp_path: Path) -> None:
    folder = class_folders(tmp_path / "folder", {"cat": 1, "ant": 0, "bee": 0})
    with pytest.raises(DataError, match="2 of 3 classes") as caught:
        looked_at(folder, "classification_pyt")
    assert "ant, bee" in str(caught.value)
    (tmp_path / "archive").mkdir()
    pack(tmp_path / "archive" / "images_train.tar.gz", ["cat/a.jpg", "ant/", "ant/read.me"])
    (tmp_path / "archive" / "classes.txt").write_text("cat\nant\n")
    with pytest.raises(DataError, match="1 of 2 classes"):
        looked_at(tmp_path / "archive", "classification_pyt")


def test_images_without_class_folders_are_refused(tmp_path: Path) -> None:
    (tmp_path / "images_train").mkdir()
    (tmp_path / "images_train" / "a.jpg").write_bytes(b"x")
    (tmp_path / "classes.txt").write_text("cat\n")
    with pytest.raises(DataError, match="has no class folders"):
        looked_at(tmp_path, "classification_pyt")


@pytest.mark.parametrize(
    ("listed", "said"),
    [("cat\n", "does not list: 1"), ("cat\nant\nbee\n", "have no folder in images_train: 1")],
)
def test_the_list_of_classes_and_the_folders_go_together(tmp_path: Path, listed: str, said: str) -> None:
    folder = class_folders(tmp_path, {"cat": 1, "ant": 1})
    (folder / "classes.txt").write_text(listed)
    with pytest.raises(DataError, match=said):
        looked_at(folder, "classification_pyt")


def test_another_layout_is_held_to_its_files_alone(tmp_path: Path) -> None:
    facts = looked_at(tmp_path, "segformer")
    assert facts.kind == "files"


def test_s3_is_passed_through(tmp_path: Path) -> None:
    uri = data.location("s3://bucket/set/", "--train-data")
    assert uri == "s3://bucket/set"
    assert data.check(uri, [], catalog.entry("dino")) == DataFacts(uri=uri, kind="remote")


@pytest.mark.parametrize(
    "uri", ["s3://me:hunter2@bucket/x", "s3://bucket/x?sig=hunter2", "https://x/hunter2", "s3://"]
)
def test_other_uris_are_refused_and_secrets_not_shown(uri: str) -> None:
    with pytest.raises(UsageError) as caught:
        data.location(uri, "--train-data")
    assert "hunter2" not in str(caught.value)


def test_a_path_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is no folder"):
        data.location(str(tmp_path / "gone"), "--train-data")


def test_a_zip_is_read_too(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as zipped:
        zipped.writestr("images/a.jpg", b"x")
    assert data._members(tmp_path / "images.zip") == (["a.jpg"], [])
    (tmp_path / "images.zip").write_text(json.dumps({}))
    with pytest.raises(DataError):
        data._members(tmp_path / "images.zip")
