"""The pictures with masks that porter makes, and what is found in folders of images and masks."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from porter.probes import check_masks, make_masks
from porter.records.probes import CheckMasks, MadeDataset, MakeMasks, MaskScan, MaskSplit
from porter.weights.kernel.serve import ProbeError
from tests.local_probes import LocalProbes

NOISE = 12


def made(root: Path, classes: int = 5, *, shift: int = 0, size: int = 40, seed: int = 0) -> MadeDataset:
    request = MakeMasks(
        root=str(root), classes=classes, shift=shift, size=size, images={"train": 8, "val": 2}, seed=seed
    )
    return LocalProbes().probe("make_masks", request, MadeDataset)


def pictures(classes: int, shift: int, size: int, count: int = 8) -> list[tuple[Image.Image, Image.Image]]:
    """Return images and masks without the way over files."""
    request = {"classes": classes, "shift": shift, "size": size}
    return [make_masks.picture(request, f"0 train {number}", number) for number in range(count)]


def levels(mask: Image.Image) -> set[int]:
    return {level for level, count in enumerate(mask.histogram()) if count}


def test_equal_requests_write_equal_bytes_and_another_seed_others(tmp_path: Path) -> None:
    answers = [made(tmp_path / name) for name in ("a", "b")]
    assert answers[0] == answers[1]
    assert len(answers[0].files) == 2 * (8 + 2)
    assert {str(path.relative_to(tmp_path / "a")) for path in (tmp_path / "a").rglob("*.png")} == {
        *answers[0].files
    }
    made(tmp_path / "c", seed=1)
    contents = [[(tmp_path / name / file).read_bytes() for file in answers[0].files] for name in "abc"]
    assert contents[0] == contents[1]
    assert all(one != other for one, other in zip(contents[0], contents[2], strict=True))
    assert len(set(contents[0])) == len(contents[0])


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ProbeError) as caught:
        make_masks.run({"root": str(tmp_path), "classes": 2, "shift": 0, "size": 32, "images": {"train": 1}})
    assert "is not empty" in caught.value.answer["error"]["what"]
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(("classes", "shift"), [(1, 0), (2, 0), (3, 1), (5, 0), (19, 0), (32, 1)])
def test_a_few_images_show_every_class_and_pixels_of_none(classes: int, shift: int) -> None:
    seen: set[int] = set()
    for image, mask in pictures(classes, shift, 32):
        assert image.size == mask.size
        assert (image.mode, mask.mode) == ("RGB", "L")
        assert 255 in levels(mask)
        seen |= levels(mask)
    assert seen == {*range(shift, classes + shift), 255}


@pytest.mark.parametrize("size", [32, 100])
def test_the_pixels_of_a_mask_have_the_colour_of_their_class(size: int) -> None:
    shift, classes = 1, 7
    for image, mask in pictures(classes, shift, size, count=3):
        for pixel, level in zip(triples(image), mask.tobytes(), strict=True):
            if level != 255:
                meant = make_masks.colour(level - shift, classes)
                assert all(abs(is_ - to_be) <= NOISE for is_, to_be in zip(pixel, meant, strict=True))


def triples(image: Image.Image) -> list[tuple[int, ...]]:
    data = image.tobytes()
    return [tuple(data[place : place + 3]) for place in range(0, len(data), 3)]


@pytest.mark.parametrize("classes", [2, 3, 8, 21, 60, 150])
def test_no_two_classes_have_one_colour(classes: int) -> None:
    assert len({make_masks.colour(kind, classes) for kind in range(classes)}) == classes


def test_the_strip_of_no_class_is_at_the_bottom_and_nowhere_else() -> None:
    for image, mask in pictures(5, 0, 60):
        rows = [mask.tobytes()[y * mask.width : (y + 1) * mask.width] for y in range(mask.height)]
        strip = [y for y, row in enumerate(rows) if 255 in row]
        assert strip == list(range(mask.height - 5, mask.height))
        assert all(set(rows[y]) == {255} for y in strip)
        below = image.crop((0, strip[0], image.width, image.height))
        # Noise of all colours: no class has such a spread.
        assert all(high - low > 200 for low, high in below.getextrema())  # type: ignore[misc]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two pairs for training, two for evaluation, and an image without a mask."""
    for split, number in (("train", 0), ("train", 1), ("val", 0), ("val", 1), ("test", 0)):
        image(tmp_path / "images" / split / f"{number}.jpg")
        if split != "test":
            mask(tmp_path / "masks" / split / f"{number}.png", 3 * number)
    return tmp_path


def image(path: Path, size: tuple[int, int] = (6, 4)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (10, 20, 30)).save(path)


def mask(path: Path, level: int | tuple[int, ...], mode: str = "L") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, (6, 4), level).save(path)


def scanned(root: Path, decode: int = 0) -> dict[str, MaskSplit]:
    request = CheckMasks(root=str(root), splits=("train", "val", "test"), decode=decode)
    scan = LocalProbes().probe("check_masks", request, MaskScan)
    return {split.name: split for split in scan.splits}


def test_a_good_folder_is_counted(root: Path) -> None:
    found = scanned(root)
    assert found["train"] == MaskSplit(name="train", images=2, masks=2, decoded=2, levels={0: 1, 3: 1})
    assert found["test"] == MaskSplit(name="test", images=1, masks=0, decoded=1)


def test_a_split_that_is_not_there_is_not_named(root: Path) -> None:
    (root / "images" / "test" / "0.jpg").unlink()
    (root / "images" / "test").rmdir()
    assert list(scanned(root)) == ["train", "val"]
    assert scanned(root / "nowhere") == {}


def test_a_mask_of_another_size(root: Path) -> None:
    image(root / "images" / "val" / "1.jpg", (4, 6))
    (broken,) = scanned(root)["val"].broken
    assert (broken.path, broken.error) == ("masks/val/1.png", "it is 6 x 4, its image 4 x 6")


def test_files_that_cannot_be_read_are_named_up_to_twenty(root: Path) -> None:
    whole = (root / "masks" / "train" / "0.png").read_bytes()
    (root / "masks" / "train" / "0.png").write_bytes(whole[:-30])
    (root / "images" / "train" / "1.jpg").write_text("no picture")
    found = scanned(root)["train"]
    assert [each.path for each in found.broken] == ["masks/train/0.png", "images/train/1.jpg"]
    assert all(each.error for each in found.broken)
    for number in range(2, 40):
        (root / "images" / "train" / f"{number}.jpg").touch()
        mask(root / "masks" / "train" / f"{number}.png", 0)
    many = scanned(root)["train"]
    assert (len(many.broken), many.broken_count) == (20, 40)


@pytest.mark.parametrize(("mode", "level"), [("RGB", (1, 1, 1)), ("RGBA", (1, 1, 1, 255)), ("LA", (1, 255))])
def test_masks_with_colours_or_transparency_are_told(root: Path, mode: str, level: tuple[int, ...]) -> None:
    mask(root / "masks" / "val" / "0.png", level, mode)
    found = scanned(root)
    assert found["val"].coloured
    assert found["val"].levels == {3: 1}
    assert not found["train"].coloured


def test_wide_masks_keep_values_beyond_a_byte(root: Path) -> None:
    mask(root / "masks" / "val" / "0.png", 300, "I;16")
    found = scanned(root)["val"]
    assert (found.levels, found.coloured) == ({3: 1, 300: 1}, False)


def test_masks_with_a_palette_are_read_by_their_numbers(root: Path) -> None:
    made = Image.new("P", (6, 4), 2)
    made.putpalette([*range(0, 255, 5)] * 3)
    made.save(root / "masks" / "val" / "0.png")
    assert scanned(root)["val"].levels == {2: 1, 3: 1}


@pytest.mark.parametrize(
    ("gone", "left"),
    [("masks/train/1.png", "images/train/1.jpg"), ("images/train/0.jpg", "masks/train/0.png")],
)
def test_a_missing_partner_is_named(root: Path, gone: str, left: str) -> None:
    (root / gone).unlink()
    found = scanned(root)["train"]
    assert (found.unpaired, found.unpaired_count) == ((left,), 1)
    assert scanned(root)["val"].unpaired == ()


@pytest.mark.parametrize("double", ["images/train/1.png", "masks/val/1.bmp", "images/test/0.bmp"])
def test_two_files_of_one_name_are_told(root: Path, double: str) -> None:
    image(root / double)
    split = double.split("/")[1]
    (broken,) = scanned(root)[split].broken
    assert Path(broken.path).stem == Path(double).stem
    assert "the same name but for the ending" in broken.error


def test_a_large_folder_is_decoded_in_part_and_evenly(root: Path) -> None:
    for number in range(2, 12):
        image(root / "images" / "train" / f"{number:02d}.jpg")
        mask(root / "masks" / "train" / f"{number:02d}.png", number)
    found = scanned(root, decode=4)
    assert (found["train"].images, found["train"].decoded) == (12, 4)
    # In the order of names: 0, 02 to 09, 1, 10, 11.
    assert sorted(found["train"].levels) == [0, 3, 4, 7]
    assert found["val"].decoded == 2
    assert check_masks.spread(list("abcdef"), 3) == ["a", "c", "e"]


def test_lines_of_the_class_file(root: Path) -> None:
    request = CheckMasks(root=str(root), splits=("train",))
    assert LocalProbes().probe("check_masks", request, MaskScan).class_file is None
    (root / "classes.txt").write_bytes(" wall \r\n\nsk\xffy\n".encode("latin-1"))
    assert LocalProbes().probe("check_masks", request, MaskScan).class_file == ("wall", "sk\ufffdy")
