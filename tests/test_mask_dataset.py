"""Images with label masks: what is accepted, what is turned away and why, and what porter makes itself."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from PIL import Image

from porter import mask_dataset
from porter.errors import DataError
from porter.records.inspection import DatasetFacts
from porter.records.probes import MaskScan, MaskSplit
from tests.local_probes import LocalProbes

LABELS = ("wall", "floor", "sky")


def image(path: Path, size: tuple[int, int] = (6, 4), mode: str = "RGB", pixels: bytes = b"") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if pixels:
        Image.frombytes(mode, size, pixels).save(path)
    else:
        Image.new(mode, size).save(path)


def mask(path: Path, levels: bytes = bytes([0, 1, 2, 255])) -> None:
    """Write a grey mask of 6 x 4 pixels in which *levels* take turns."""
    image(path, mode="L", pixels=(levels * 24)[:24])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A dataset with nothing wrong."""
    folder = tmp_path / "data"
    for split, count in (("train", 3), ("val", 2), ("test", 1)):
        for number in range(count):
            image(folder / "images" / split / f"{number}.jpg")
            if split != "test":
                mask(folder / "masks" / split / f"{number}.png")
    return folder


def checking(root: Path, *, reduced: bool = False) -> DatasetFacts:
    return mask_dataset.check(LocalProbes(), root, LABELS, reduced=reduced)


def refused(root: Path, *, reduced: bool = False) -> DataError:
    with pytest.raises(DataError) as caught:
        checking(root, reduced=reduced)
    assert caught.value.next_step
    return caught.value


def test_a_good_dataset_is_counted(root: Path) -> None:
    facts = checking(root)
    assert facts.classes == LABELS
    assert facts.against_labels == "equal"
    assert {split.name: split.images[""] for split in facts.splits} == {"train": 3, "val": 2, "test": 1}
    assert facts.notes == ()


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    assert "There is no folder" in refused(tmp_path / "nothing").what


@pytest.mark.parametrize("folder", ["images", "masks"])
@pytest.mark.parametrize("split", ["train", "val"])
def test_training_and_evaluation_need_images_and_masks(root: Path, folder: str, split: str) -> None:
    for path in (root / folder / split).iterdir():
        path.unlink()
    assert f"no images with masks for {split}" in refused(root).what


def test_a_file_without_its_partner_is_named(root: Path) -> None:
    (root / "masks" / "val" / "1.png").unlink()
    error = refused(root)
    assert "1 files of val have no partner, such as images/val/1.jpg" in error.what
    mask(root / "masks" / "val" / "1.png")
    mask(root / "masks" / "train" / "stray.png")
    assert "masks/train/stray.png" in refused(root).what


def test_a_mask_of_another_size_is_named_with_both_sizes(root: Path) -> None:
    image(root / "images" / "train" / "2.jpg", size=(9, 4))
    assert "masks/train/2.png: it is 6 x 4, its image 9 x 4" in str(refused(root).why)


@pytest.mark.parametrize("broken", ["images/val/0.jpg", "masks/train/1.png", "images/test/0.jpg"])
def test_a_file_that_is_no_image_is_named(root: Path, broken: str) -> None:
    (root / broken).write_bytes(b"not an image")
    assert str(refused(root).why).startswith(f"{broken}: UnidentifiedImageError")


def test_masks_in_colour_are_turned_away(root: Path) -> None:
    image(root / "masks" / "train" / "0.png")
    assert "The masks of train have colours" in refused(root).what


@pytest.mark.parametrize("mode", ["P", "I;16"])
def test_grey_masks_of_every_mode_are_read(root: Path, mode: str) -> None:
    made = Image.new(mode, (6, 4))
    if mode == "P":
        made.putpalette(bytes(range(256)) * 3)
    made.putpixel((0, 0), 2)
    made.save(root / "masks" / "train" / "0.png")
    assert checking(root).classes == LABELS
    made.putpixel((0, 0), 77)
    made.save(root / "masks" / "train" / "0.png")
    assert "value 77" in refused(root).what


def test_a_value_that_is_no_class_is_named(root: Path) -> None:
    mask(root / "masks" / "val" / "1.png", bytes([0, 3, 9]))
    error = refused(root)
    assert "Masks of val have pixels of value 3, 9" in error.what
    assert "the 3 classes are 0 to 2, and 255 is none" in str(error.why)


def test_where_labels_are_reduced_zero_is_no_class(root: Path) -> None:
    for path in (root / "masks").rglob("*.png"):
        mask(path, bytes([0, 1, 2, 3, 255]))
    assert checking(root, reduced=True).notes == ()
    assert "value 3" in refused(root).what


def test_a_value_below_the_first_class_of_reduced_labels_is_none(root: Path) -> None:
    for path in (root / "masks").rglob("*.png"):
        mask(path, bytes([0, 4, 2, 3]))
    assert "value 4" in refused(root, reduced=True).what
    assert "the 3 classes are 1 to 3, and 255 is none" in str(refused(root, reduced=True).why)


def scan(**train: object) -> MaskScan:
    """Return what the probe would say of good splits, but for what *train* says of the first."""
    good = MaskSplit(name="train", images=4, masks=4, decoded=4, levels={0: 4, 1: 4, 2: 4, 255: 4})
    return MaskScan(
        splits=(
            msgspec.structs.replace(good, **train),
            msgspec.structs.replace(good, name="val"),
            MaskSplit(name="test", images=4, masks=0, decoded=4),
        )
    )


def test_masks_that_were_not_decoded_are_said() -> None:
    facts = mask_dataset.judge(Path("/data"), scan(images=9, masks=9), LABELS, reduced=False)
    assert facts.notes == ("4 of 9 masks of train were decoded, evenly spread",)


def test_only_the_first_values_are_named() -> None:
    with pytest.raises(DataError) as caught:
        mask_dataset.judge(Path("/data"), scan(levels=dict.fromkeys(range(20), 1)), LABELS, reduced=False)
    assert caught.value.what == "Masks of train have pixels of value 3, 4, 5, 6, 7."
    assert str(Path("/data/classes.txt")) in str(caught.value.next_step)


def test_an_empty_file_of_classes_names_none(root: Path) -> None:
    (root / "classes.txt").write_text("\n \n")
    assert checking(root).classes == LABELS


def test_nothing_is_written_where_a_dataset_is_checked(root: Path) -> None:
    before = sorted((path, path.stat().st_mtime_ns) for path in root.rglob("*"))
    probes = LocalProbes()
    mask_dataset.check(probes, root, LABELS)
    assert (probes.read, probes.write) == ([root], [])
    assert sorted((path, path.stat().st_mtime_ns) for path in root.rglob("*")) == before


def test_images_that_share_a_name_are_turned_away(root: Path) -> None:
    image(root / "images" / "test" / "0.png")
    assert "images/test/0.jpg: 0.png has the same name but for the ending" in str(refused(root).why)


def test_classes_of_its_own(root: Path) -> None:
    (root / "classes.txt").write_text("cat\ndog\n\nfox\nowl\n")
    mask(root / "masks" / "train" / "0.png", bytes([3]))
    facts = checking(root)
    assert facts.classes == ("cat", "dog", "fox", "owl")
    assert facts.against_labels == "different"
    assert facts.notes == ("the dataset has 4 classes of its own; the model has 3 labels",)


def test_a_class_that_comes_twice_is_turned_away(root: Path) -> None:
    (root / "classes.txt").write_text("cat\ndog\ncat\n")
    assert "names a class twice" in refused(root).what


def test_what_is_not_seen_is_said(root: Path) -> None:
    for path in (root / "masks").rglob("*.png"):
        mask(path, bytes([1, 255]))
    (root / "images" / "test" / "0.jpg").unlink()
    assert checking(root).notes == (
        "train shows 1 of the 3 classes",
        "there is no test folder; inference uses val",
    )


def test_what_porter_makes_is_a_good_dataset(tmp_path: Path) -> None:
    made = mask_dataset.generate(LocalProbes(), tmp_path / "made", LABELS, 64)
    checked = checking(tmp_path / "made")
    assert made.generated
    assert (checked.classes, checked.splits, checked.notes) == (made.classes, made.splits, ())


def test_what_is_made_for_reduced_labels_begins_at_one(tmp_path: Path) -> None:
    mask_dataset.generate(LocalProbes(), tmp_path / "made", LABELS, 64, reduced=True)
    assert checking(tmp_path / "made", reduced=True).notes == ()
    assert "value 3" in refused(tmp_path / "made").what


def test_equal_requests_make_equal_pictures_and_replace_what_lay_there(tmp_path: Path) -> None:
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "old.txt").touch()
    for name in ("one", "two"):
        mask_dataset.generate(LocalProbes(), tmp_path / name, LABELS, 64)
    files = [
        {path.relative_to(tmp_path / name): path.read_bytes() for path in (tmp_path / name).rglob("*.png")}
        for name in ("one", "two")
    ]
    assert files[0] == files[1]
    assert not (tmp_path / "two" / "old.txt").exists()


def test_a_mask_says_what_the_picture_shows(tmp_path: Path) -> None:
    facts = mask_dataset.generate(LocalProbes(), tmp_path / "made", LABELS, 64)
    colours: dict[int, set[tuple[int, int]]] = {0: set(), 1: set(), 2: set()}
    for split in ("train", "val"):
        for path in sorted((Path(facts.root) / "images" / split).iterdir()):
            with Image.open(path) as picture, Image.open(str(path).replace("images", "masks")) as truth:
                for x in range(0, picture.width, 3):
                    for y in range(0, picture.height, 3):
                        level = truth.getpixel((x, y))
                        assert isinstance(level, int)
                        if level == mask_dataset.IGNORED:
                            assert y > picture.height // 2
                            continue
                        pixel = picture.getpixel((x, y))
                        assert isinstance(pixel, tuple)
                        # Which of the three channels rules tells the hue, whatever the noise.
                        colours[level].add((pixel.index(max(pixel)), level))
    assert all(len(seen) == 1 for seen in colours.values()), colours
    assert len({hue for seen in colours.values() for hue, _ in seen}) == len(LABELS)


def test_a_view_links_pairs_and_takes_a_missing_test_from_val(root: Path, tmp_path: Path) -> None:
    for number in range(3, 30):
        image(root / "images" / "train" / f"{number}.jpg")
        mask(root / "masks" / "train" / f"{number}.png")
    (root / "images" / "test" / "0.jpg").unlink()
    view = mask_dataset.make_view(checking(root), tmp_path / "view")
    assert view.images == {"train": 8, "val": 2, "test": 2}
    names = [path.name for path in sorted((root / "images" / "train").iterdir())]
    assert {path.name for path in (tmp_path / "view" / "images" / "train").iterdir()} == {*names[:24:3]}
    train = sorted((tmp_path / "view" / "images" / "train").iterdir())
    masks = sorted((tmp_path / "view" / "masks" / "train").iterdir())
    assert [path.stem for path in train] == [path.stem for path in masks]
    assert {path.resolve().parent for path in masks} == {root / "masks" / "train"}
    assert not (tmp_path / "view" / "masks" / "test").exists()
    again = mask_dataset.make_view(checking(root), tmp_path / "view")
    assert again == view
