"""Lists of images and depth maps: what is accepted, what is turned away and why, and what porter makes."""

from __future__ import annotations

import math
import struct
from pathlib import Path

import pytest
from PIL import Image

from porter import depth_dataset
from porter.errors import DataError
from porter.probes.check_depth import from_pfm
from porter.records.inspection import DatasetFacts
from tests.local_probes import LocalProbes

SIZE = (6, 4)


def image(path: Path, size: tuple[int, int] = SIZE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size).save(path)


def depth_map(
    path: Path, values: tuple[float, ...] = (1.0, 2.0, 3.0, 0.0), size: tuple[int, int] = SIZE
) -> None:
    """Write a PFM file in which *values* take turns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    count = size[0] * size[1]
    pixels = (values * count)[:count]
    path.write_bytes(f"Pf\n{size[0]} {size[1]}\n-1.0\n".encode() + struct.pack(f"<{count}f", *pixels))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A dataset with nothing wrong."""
    folder = tmp_path / "data"
    for split, count in (("train", 3), ("val", 2), ("test", 1)):
        lines = []
        for number in range(count):
            image(folder / "images" / f"{split}{number}.jpg")
            lines.append(f"images/{split}{number}.jpg")
            if split != "test":
                depth_map(folder / "depth" / f"{split}{number}.pfm")
                lines[-1] += f" depth/{split}{number}.pfm"
        (folder / f"{split}.txt").write_text("\n".join(lines) + "\n")
    return folder


def checking(root: Path, *, relative: bool = False) -> DatasetFacts:
    return depth_dataset.check(LocalProbes(), root, relative=relative, nearest=0.001, farthest=10.0)


def refused(root: Path, *, relative: bool = False) -> DataError:
    with pytest.raises(DataError) as caught:
        checking(root, relative=relative)
    assert caught.value.next_step
    return caught.value


def test_a_good_dataset_is_counted(root: Path) -> None:
    facts = checking(root)
    assert facts.classes == ()
    assert {split.name: split.images[""] for split in facts.splits} == {"train": 3, "val": 2, "test": 1}
    assert facts.notes == tuple(
        f"{split}: 75% of the pixels have depth in metres, 1 to 3" for split in ("train", "val")
    )
    assert "inverse depth" in checking(root, relative=True).notes[0]


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    assert "There is no folder" in refused(tmp_path / "nothing").what


def test_training_and_evaluation_need_a_depth_map_for_every_image(root: Path) -> None:
    text = (root / "val.txt").read_text()
    (root / "val.txt").write_text(text.replace(" depth/val1.pfm", ""))
    assert "no list val.txt with a depth map for every image" in refused(root).what
    (root / "val.txt").unlink()
    assert "no list val.txt" in refused(root).what


def test_inference_may_have_no_list(root: Path) -> None:
    (root / "test.txt").unlink()
    facts = checking(root)
    assert "there is no test.txt; inference uses val" in facts.notes
    view = depth_dataset.make_view(facts, root.parent / "view")
    assert depth_dataset.images_of(Path(view.root), "test") == depth_dataset.images_of(root, "val")


@pytest.mark.parametrize("line", ["a b c d", "images/train0.jpg  depth/train0.pfm"])
def test_a_line_that_is_no_list_of_paths(root: Path, line: str) -> None:
    with (root / "train.txt").open("a") as file:
        file.write(f"{line}\n")
    assert f"{line!r}" in refused(root).what


@pytest.mark.parametrize("path", ["/elsewhere/a.jpg", "../a.jpg"])
def test_a_file_outside_is_not_opened(root: Path, path: str) -> None:
    with (root / "train.txt").open("a") as file:
        file.write(f"{path} depth/train0.pfm\n")
    assert "does not lie in the dataset's folder" in refused(root).what


def test_absolute_paths_below_the_folder_are_fine(root: Path) -> None:
    (root / "train.txt").write_text(f"{root}/images/train0.jpg {root}/depth/train0.pfm\n")
    assert checking(root).splits[0].images == {"": 1}


def test_files_that_cannot_be_used_are_named(root: Path) -> None:
    (root / "depth" / "train1.pfm").write_bytes(b"Pf\n6 4\n-1.0\nshort")
    assert "depth/train1.pfm: ValueError: 6 x 4 pixels do not fill 5 bytes" in refused(root).why
    (root / "depth" / "train1.pfm").write_bytes(b"no image at all")
    assert "does not begin as a PFM image" in refused(root).why
    depth_map(root / "depth" / "train1.pfm", size=(4, 6))
    assert "it is 4 x 6, its image 6 x 4" in refused(root).why
    (root / "images" / "train1.jpg").unlink()
    assert "images/train1.jpg" in refused(root).why


def test_depth_that_no_pixel_has(root: Path) -> None:
    for split, count in (("train", 3), ("val", 2)):
        for number in range(count):
            depth_map(root / "depth" / f"{split}{number}.pfm", (1500.0, 2500.0))
    error = refused(root)
    assert "No pixel of the depth maps of train.txt has a depth" in error.what
    assert "between 0.001 and 10" in error.why
    assert "between 0 and 1000" in refused(root, relative=True).why


def test_a_png_is_read_as_the_numbers_that_it_holds(root: Path) -> None:
    lines = []
    for number in range(3):
        path = root / "depth" / f"train{number}.png"
        Image.frombytes("I;16", SIZE, struct.pack("<24H", *([0, 4, 700, 9] * 6))).save(path)
        lines.append(f"images/train{number}.jpg depth/train{number}.png")
    (root / "train.txt").write_text("\n".join(lines))
    assert checking(root).notes[0] == "train: 50% of the pixels have depth in metres, 4 to 9"
    image(root / "depth" / "train0.png")
    assert "it has the mode RGB" in refused(root).why


@pytest.mark.parametrize("order", ["<", ">"])
def test_pfm_of_both_byte_orders_and_in_colour(order: str) -> None:
    scale = "-1.0" if order == "<" else "1.0"
    grey = f"Pf\n2 1\n{scale}\n".encode() + struct.pack(f"{order}2f", 1.5, math.inf)
    assert from_pfm(grey) == (2, 1, [1.5, math.inf])
    colour = f"PF\n1 1\n{scale}\n".encode() + struct.pack(f"{order}3f", 4, 5, 6)
    assert from_pfm(colour) == (1, 1, [4.0])


@pytest.mark.parametrize("relative", [False, True])
def test_what_porter_makes_is_a_good_dataset(tmp_path: Path, *, relative: bool) -> None:
    made, again = tmp_path / "made", tmp_path / "again"
    facts = depth_dataset.generate(LocalProbes(), made, 70, relative=relative, farthest=10.0)
    depth_dataset.generate(LocalProbes(), again, 70, relative=relative, farthest=10.0)
    files = sorted(path.relative_to(made) for path in made.rglob("*") if path.is_file())
    assert all((made / path).read_bytes() == (again / path).read_bytes() for path in files)
    checked = checking(made, relative=relative)
    assert [(split.name, split.images) for split in checked.splits] == [
        (split.name, split.images) for split in facts.splits
    ]
    width, height, values = from_pfm((made / "depth/train/train_0000.pfm").read_bytes())
    with Image.open(made / "images/train/train_0000.png") as opened:
        assert opened.size == (width, height)
        assert width != height
        # PFM begins with the last row, whose depth nobody measured.
        turned = opened.transpose(Image.Transpose.FLIP_TOP_BOTTOM).tobytes()
    pixels = [turned[place : place + 3] for place in range(0, len(turned), 3)]
    unmeasured = {math.inf} if relative else {0.0}
    assert set(values[:width]) == unmeasured
    known = [(value, sum(pixel)) for value, pixel in zip(values, pixels, strict=True) if 0 < value < 1000]
    bounds = (1 / 8, 1.0) if relative else (1.0, 8.0)
    assert all(bounds[0] - 1e-6 <= value <= bounds[1] + 1e-6 for value, _ in known)
    near = max(known) if relative else min(known)
    far = min(known) if relative else max(known)
    assert near[1] > far[1] + 100


def test_a_view_names_the_files_where_they_are(root: Path) -> None:
    view = depth_dataset.make_view(checking(root), root.parent / "view")
    assert view.images == {"train": 3, "val": 2, "test": 1}
    [line] = depth_dataset.lines_of(Path(view.root), "test")
    assert line == [str(root / "images" / "test0.jpg")]
    assert all(
        len(line) == 2 and Path(line[1]).is_file() for line in depth_dataset.lines_of(Path(view.root), "val")
    )
