"""Lists as people write them, and what is said where they are wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from porter.errors import UsageError
from porter.matrix import listing
from porter.matrix.making import request_of

GOOD = """
[defaults]
budget = 300
labels = ["cat", "dog"]
processor = "small"

[processors.small]
size = { height = 32, width = 32 }

[[rows]]
name = "there"
source = "models/there"

[[rows]]
name = "made"
model.architecture = "ResNetForImageClassification"
settings = { "train.num_epochs" = 2 }
budget = 60

[[rows]]
name = "timm-made"
timm.architecture = "xcit_nano_12_p16_224"
timm.pretrained = { input_size = [3, 48, 32] }
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "list.toml"
    path.write_text(text)
    return path


def test_rows_get_what_the_list_says_for_all(tmp_path: Path) -> None:
    (tmp_path / "models" / "there").mkdir(parents=True)
    there, made, timm = listing.read_list(write(tmp_path, GOOD))
    assert (there.source, there.budget) == (str(tmp_path / "models" / "there"), 300)
    assert made.model is not None
    assert (made.model.labels, made.budget) == (("cat", "dog"), 60)
    assert made.model.processor == {"size": {"height": 32, "width": 32}}
    request = request_of(made, Path("m"))
    assert (request.calibrate, request.as_timm) == ((3, 32, 32), False)
    asked = request_of(timm, Path("m"))
    assert (asked.calibrate, asked.as_timm, asked.labels) == ((3, 48, 32), True, ("cat", "dog"))
    assert asked.config["pretrained_cfg"]["num_classes"] == 2


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('name = "made"', "name = ", "line 15, column"),
        ("budget = 60", 'budget = "long"', "row made (line 14)"),
        ("budget = 60", "budgets = 60", "row made (line 14)"),
        ('name = "timm-made"', 'name = "made"', "two rows named made"),
        ('name = "made"', 'name = "Made It"', "row Made It (line 14)"),
        ('processor = "small"', 'processor = "smal"', "near it: small"),
        ('source = "models/there"', "", "row there has no model"),
        ('source = "models/there"', 'source = "x"\ntimm.architecture = "y"', "row there has source and timm"),
        ("[[rows]]", "[[row]]", "row"),
        (GOOD, "", "rows"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in GOOD
    with pytest.raises(UsageError) as caught:
        listing.read_list(write(tmp_path, GOOD.replace(old, new)))
    assert said in str(caught.value)
    assert caught.value.next_step


def test_a_list_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nowhere\.toml cannot be read"):
        listing.read_list(tmp_path / "nowhere.toml")


def test_rows_are_chosen_by_name_and_pattern(tmp_path: Path) -> None:
    entries = listing.read_list(write(tmp_path, GOOD))
    names = [entry.name for entry in listing.chosen(entries, ["timm-*", "there"])]
    assert names == ["there", "timm-made"]
    assert listing.chosen(entries, []) == entries
    with pytest.raises(UsageError, match="near it: made, timm-made"):
        listing.chosen(entries, ["mades"])


FAMILIES = """
beit bit clip convnext convnextv2 cvt data2vec-vision deit dinov2 dinov2-with-registers dinov3-convnext
dinov3-vit efficientnet focalnet hiera ijepa levit mobilenet-v1 mobilenet-v2 mobilevit mobilevitv2 poolformer
pvt pvt-v2 regnet resnet siglip siglip2 swiftformer swin swinv2 vit vit-msn
"""


def test_the_shipped_list_has_every_family_and_ten_of_timm() -> None:
    entries = listing.read_list(listing.shipped())
    names = {entry.name for entry in entries}
    assert set(FAMILIES.split()) <= names
    timm = [entry.timm.architecture for entry in entries if entry.timm]
    assert len(set(timm)) >= 10
    for entry in entries:
        assert request_of(entry, Path("m")).labels
