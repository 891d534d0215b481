from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image

from porter import dataset
from porter.errors import DataError
from porter.records.inspection import DatasetFacts
from porter.records.probes import CheckDataset, DatasetScan, MadeDataset, MakeDataset
from porter.sandbox.host import HostSandbox
from tests.local_probes import LocalProbes

SUFFIXES = (".jpg", ".png", ".JPEG")
LABELS = ("fox", "cat", "dog")


def image(path: Path, colour: int = 100) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (6, 4), (colour, 0, 0)).save(path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A dataset with nothing wrong."""
    folder = tmp_path / "data"
    for split, count in (("train", 3), ("val", 2), ("test", 1)):
        for name in sorted(LABELS):
            for index in range(count):
                image(folder / split / name / f"{index}.png")
    return folder


def checking(root: Path, labels: Sequence[str] = LABELS) -> DatasetFacts:
    return dataset.check(LocalProbes(), root, labels, SUFFIXES)


def refused(root: Path, labels: Sequence[str] = LABELS) -> DataError:
    with pytest.raises(DataError) as caught:
        checking(root, labels)
    assert caught.value.next_step
    return caught.value


def fingerprint(root: Path) -> str:
    rows = [(str(p.relative_to(root)), p.stat().st_mtime_ns) for p in sorted(root.rglob("*"))]
    return hashlib.sha256(repr(rows).encode()).hexdigest()


def test_good_dataset_is_counted_and_left_alone(root: Path) -> None:
    before = fingerprint(root)
    probes = LocalProbes()
    facts = dataset.check(probes, root, LABELS, SUFFIXES)
    assert facts.root == str(root)
    assert facts.classes == LABELS
    assert facts.against_labels == "permuted"
    assert [(s.name, s.folder, s.images) for s in facts.splits] == [
        ("train", str(root / "train"), {"cat": 3, "dog": 3, "fox": 3}),
        ("val", str(root / "val"), {"cat": 2, "dog": 2, "fox": 2}),
        ("test", str(root / "test"), {"cat": 1, "dog": 1, "fox": 1}),
    ]
    assert facts.notes == ()
    assert not facts.generated
    assert (probes.read, probes.write) == ([root], [])
    assert fingerprint(root) == before


def test_suffixes_may_come_without_their_dot(root: Path) -> None:
    facts = dataset.check(LocalProbes(), root, LABELS, ("png",))
    assert facts.splits[0].images["cat"] == 3


@pytest.mark.parametrize(
    ("labels", "classes", "against"),
    [
        (("cat", "dog", "fox"), ("cat", "dog", "fox"), "equal"),
        (("fox", "dog", "cat"), ("fox", "dog", "cat"), "permuted"),
        (("cat", "dog"), ("cat", "dog", "fox"), "different"),
        (("cat", "dog", "fox", "cat"), ("cat", "dog", "fox"), "different"),
        (("LABEL_0", "LABEL_1", "LABEL_2"), ("cat", "dog", "fox"), "no labels"),
        ((), ("cat", "dog", "fox"), "no labels"),
    ],
)
def test_classes_against_labels(
    root: Path, labels: tuple[str, ...], classes: tuple[str, ...], against: str
) -> None:
    facts = checking(root, labels)
    assert (facts.classes, facts.against_labels) == (classes, against)
    assert any("classes of its own" in note for note in facts.notes) is (against == "different")


def test_missing_test_means_val(root: Path) -> None:
    for path in (root / "test").rglob("*.png"):
        path.unlink()
    emptied = checking(root)
    assert [split.name for split in emptied.splits] == ["train", "val"]
    for path in (root / "test").iterdir():
        path.rmdir()
    (root / "test").rmdir()
    gone = checking(root)
    assert [split.name for split in gone.splits] == ["train", "val"]
    assert any("inference uses val" in note for note in gone.notes)


def test_test_images_need_no_classes(root: Path) -> None:
    (root / "test").rename(root / "old")
    image(root / "test" / "a.png")
    image(root / "test" / "deep" / "er" / "b.png")
    facts = checking(root)
    assert facts.splits[2].name == "test"
    assert any("beside or below" in note for note in facts.notes)


@pytest.mark.parametrize("name", ["validation", "valid"])
def test_other_names_of_val(root: Path, name: str) -> None:
    (root / "val").rename(root / name)
    facts = checking(root)
    assert (facts.splits[1].name, facts.splits[1].folder) == ("val", str(root / name))
    image(root / "val" / "cat" / "0.png")
    assert "both" in refused(root).what


def test_no_folder_at_all(tmp_path: Path) -> None:
    assert "no folder" in refused(tmp_path / "nowhere").what


def test_missing_splits_name_the_layout_and_what_is_there(tmp_path: Path) -> None:
    for name in LABELS:
        image(tmp_path / "data" / name / "0.png")
    error = refused(tmp_path / "data")
    assert "no folder train and no folder val" in error.what
    assert "<folder>/train/<class>/" in error.why
    assert "cat, dog, fox" in error.why


def test_images_without_class_folders(tmp_path: Path) -> None:
    for split in ("train", "val"):
        image(tmp_path / split / "a.png")
    assert "no class folders" in refused(tmp_path).what


def test_classes_that_differ_between_splits(root: Path) -> None:
    (root / "val" / "dog").rename(root / "val" / "hound")
    error = refused(root)
    assert "only train has dog" in error.why
    assert "only val has hound" in error.why


def test_class_without_images(root: Path) -> None:
    for path in (root / "train" / "dog").iterdir():
        path.rename(path.with_suffix(".jpeg"))
    error = refused(root)
    assert "no image of dog" in error.what
    assert "3 .jpeg" in error.why
    assert ".JPEG" in error.why


def test_val_without_any_image(root: Path) -> None:
    for file in (root / "val").rglob("*.*"):
        file.unlink()
    assert "no image in val" in refused(root).what


def test_ignored_files_are_counted(root: Path) -> None:
    image(root / "train" / "dog" / "x.bmp")
    image(root / "train" / "cat" / "x.jpeg")
    (root / "train" / "cat" / "notes").write_text("x")
    (root / "train" / "cat" / ".hidden.png").write_text("x")
    facts = checking(root)
    assert facts.splits[0].ignored == 3
    (note,) = facts.notes
    assert "1 .bmp" in note
    assert "1 .jpeg" in note
    assert "1 without ending" in note


def test_damage_that_only_one_way_of_looking_sees(root: Path) -> None:
    picture = root / "train" / "cat" / "whole.jpg"
    Image.effect_noise((64, 64), 50).save(picture)
    data = picture.read_bytes()
    picture.write_bytes(data[: len(data) // 2])
    png = root / "train" / "dog" / "0.png"
    data = png.read_bytes()
    end = data.index(b"IEND") - 4
    png.write_bytes(data[: end - 4] + bytes(4) + data[end:])
    error = refused(root)
    assert error.what.startswith("2 of ")
    assert "train/cat/whole.jpg" in error.why
    assert "train/dog/0.png" in error.why


def test_unreadable_images_are_named_up_to_twenty(root: Path) -> None:
    whole = (root / "train" / "cat" / "0.png").read_bytes()
    (root / "train" / "cat" / "cut.png").write_bytes(whole[:-25])
    (root / "train" / "cat" / "flip.png").write_bytes(whole[:45] + bytes([whole[45] ^ 255]) + whole[46:])
    (root / "val" / "dog" / "text.jpg").write_text("not an image")
    (root / "val" / "dog" / "empty.png").write_bytes(b"")
    error = refused(root)
    assert error.what.startswith("4 of ")
    for name in ("train/cat/cut.png", "train/cat/flip.png", "val/dog/text.jpg", "val/dog/empty.png"):
        assert name in error.why
    for index in range(30):
        (root / "val" / "dog" / f"many_{index:02d}.png").write_bytes(b"")
    many = refused(root)
    assert many.what.startswith("34 of ")
    assert many.why.count("; ") == 20
    assert "14 more" in many.why


@pytest.mark.parametrize("name", [" cat", "cat ", "ca\nt", "ca\rt"])
def test_names_that_classes_txt_cannot_hold(root: Path, name: str) -> None:
    for split in ("train", "val"):
        (root / split / "cat").rename(root / split / name)
    assert "classes.txt" in refused(root).what


@pytest.mark.parametrize("name", ["cat[1]", "cat*", "cat?"])
def test_names_that_tao_reads_as_a_pattern(root: Path, name: str) -> None:
    for split in ("train", "val"):
        (root / split / "cat").rename(root / split / name)
    assert "pattern" in refused(root).why
    (root.parent / "da[ta]").mkdir()
    assert "pattern" in refused(root.parent / "da[ta]").why


def test_names_that_are_not_utf8(root: Path) -> None:
    (root / "train" / "cat").rename(root / "train" / os.fsdecode(b"c\xe4t"))
    assert "UTF-8" in refused(root).what


def test_links_that_lead_nowhere_are_named(root: Path) -> None:
    (root / "train" / "cat" / "broken.png").symlink_to("/nowhere/image.png")
    assert "broken.png" in refused(root).what
    (root / "train" / "cat" / "broken.png").unlink()
    (root / "train" / "cat" / "fine.png").symlink_to(root / "train" / "cat" / "0.png")
    assert checking(root).splits[0].images["cat"] == 4


def test_classes_txt_of_the_folder_is_compared(root: Path) -> None:
    (root / "classes.txt").write_text("fox\ncat\ndog\n")
    assert checking(root).notes == ()
    (root / "classes.txt").write_text("cat\ndog\nfox\n")
    assert any("classes.txt" in note for note in checking(root).notes)


def test_large_datasets_are_decoded_in_part(root: Path) -> None:
    (root / "train" / "cat" / "2.png").write_bytes(b"")
    request = CheckDataset(root=str(root), splits=("train", "val"), suffixes=SUFFIXES, decode=5)
    scan = LocalProbes().probe("check_dataset", request, DatasetScan)
    assert scan.decoded == 5
    assert any("5 of 15" in note for note in dataset.judge(root, scan, LABELS, SUFFIXES).notes)


def test_generated_images_are_small_mixed_and_repeatable(tmp_path: Path) -> None:
    made = [tmp_path / name for name in ("a", "b")]
    facts = [dataset.generate(LocalProbes(), root, LABELS, 224) for root in made]
    assert facts[0].generated
    assert facts[0].classes == LABELS
    assert facts[0].against_labels == "permuted"
    assert [(s.name, sum(s.images.values())) for s in facts[0].splits] == [
        ("train", 12),
        ("val", 6),
        ("test", 6),
    ]
    contents = [{path.relative_to(root): path.read_bytes() for path in root.rglob("*.png")} for root in made]
    assert contents[0] == contents[1]
    assert len(set(contents[0].values())) == 24
    modes, shapes = set(), []
    for path in made[0].rglob("*.png"):
        with Image.open(path) as opened:
            modes.add(opened.mode)
            shapes.append(opened.size)
    assert modes == {"RGB", "RGBA", "L", "P"}
    assert all(width != height and 96 <= min(width, height) <= 130 for width, height in shapes)
    assert checking(made[0]).classes == LABELS


def test_generated_images_replace_what_a_killed_run_left(tmp_path: Path) -> None:
    (tmp_path / ".images.making" / "images" / "train").mkdir(parents=True)
    (tmp_path / "images" / "stale").mkdir(parents=True)
    facts = dataset.generate(LocalProbes(), tmp_path / "images", LABELS, 16)
    assert sorted(path.name for path in Path(facts.root).iterdir()) == ["test", "train", "val"]
    assert [path.name for path in tmp_path.iterdir()] == ["images"]


def test_labels_become_folder_names_that_nothing_breaks(tmp_path: Path) -> None:
    labels = (
        "crane",
        "cat/dog",
        "crane",
        "..",
        " edge ",
        'a "b" {c}\nd',
        "",
        "[x]*",
        "é" * 200,
        "/",
        "crane_2",
    )
    names = dataset.folder_names(labels)
    # The second crane makes room for the label that is called so.
    assert (*names[:3], names[-1]) == ("crane", "cat_dog", "crane_3", "crane_2")
    assert len(set(names)) == len(labels)
    facts = dataset.generate(LocalProbes(), tmp_path / "images", labels, 16)
    assert facts.classes == names
    assert any("fit for folder names" in note for note in facts.notes)
    assert checking(tmp_path / "images", names).classes == names


@pytest.mark.parametrize(
    ("label", "name"),
    [
        (".. ..", "class_0"),
        (". .a", "a"),
        ("\u00a0edge\u3000", "edge"),
        ("two\u2028lines\x85of it", "two_lines_of it"),
        ("half \ud800 a pair", "half _ a pair"),
        ("\t", "_"),
        ("é" * 59 + "é .x", "é" * 60),
        ('comma, "quote", {brace}', 'comma, "quote", {brace}'),
        ("$HOME ~user", "$HOME ~user"),
    ],
)
def test_a_label_becomes_one_folder_and_one_line(tmp_path: Path, label: str, name: str) -> None:
    (found,) = dataset.folder_names((label,))
    assert found == name
    (tmp_path / "images" / found).mkdir(parents=True)
    assert [path.name for path in (tmp_path / "images").iterdir()] == [found]
    assert found == found.strip()
    assert len(f"{found}\n".splitlines()) == 1


def test_many_labels_of_one_name_take_no_time() -> None:
    labels = ("same",) * 22_000 + ("same_5",)
    began = time.monotonic()
    names = dataset.folder_names(labels)
    assert len(set(names)) == len(labels)
    assert (names[0], names[-1]) == ("same", "same_5")
    assert time.monotonic() - began < 5


def test_folders_named_like_the_class_file_keep_the_head() -> None:
    labels = ("dog", "cat/lynx", "dog", "a\nb")
    named = ("dog", "cat_lynx", "dog_2", "a_b")
    assert dataset.order(sorted(named), labels) == (named, "permuted")
    assert dataset.order(["dog", "cat"], labels) == (("cat", "dog"), "different")


def test_labels_that_are_fit_are_kept() -> None:
    labels = ("tench, Tinca tinca", "chien (à poil)", "a'b", "x.y", "雪")
    assert dataset.folder_names(labels) == labels


def test_generated_images_without_labels(tmp_path: Path) -> None:
    facts = dataset.generate(LocalProbes(), tmp_path / "images", (), 16)
    assert (facts.classes, facts.against_labels) == (("LABEL_0", "LABEL_1"), "no labels")


def test_listing_changes_with_the_images(root: Path) -> None:
    first = dataset.listing(str(root))
    assert dataset.listing(str(root)) == first
    image(root / "train" / "cat" / "new.png")
    second = dataset.listing(str(root))
    os.utime(root / "train" / "cat" / "new.png", ns=(1, 1))
    assert len({first, second, dataset.listing(str(root)), dataset.listing(None)}) == 4


@pytest.mark.torch_env
def test_check_and_generation_in_the_real_sandbox(
    root: Path, tao_sandbox: HostSandbox, tmp_path: Path
) -> None:
    from porter.records.sandbox import Mount
    from porter.sandbox.base import run_probe

    work = tmp_path / "work"
    work.mkdir()
    made = run_probe(
        tao_sandbox,
        "make_dataset",
        MakeDataset(root=str(work / "images"), classes=LABELS, size=32, images={"train": 2, "val": 1}),
        MadeDataset,
        mounts=(Mount(path=str(work), writable=True),),
    )
    assert len(made.files) == 9
    scan = run_probe(
        tao_sandbox,
        "check_dataset",
        CheckDataset(root=str(work / "images"), splits=dataset.SPLITS, suffixes=SUFFIXES),
        DatasetScan,
        mounts=(Mount(path=str(work / "images")),),
    )
    assert scan.decoded == 9
    assert scan.unreadable == ()
