"""What generated code makes of the pixels of masks, and of scores: run in the managed environment."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Sequence
from typing import Any

import jinja2
import pytest

from porter import resources
from porter.records.sandbox import Environment

pytestmark = pytest.mark.torch_env

# Answers one JSON object a line: what an expression comes to, or the ValueError that it raises.
_RUNNER = """
import json, sys
import numpy as np
import torch
from PIL import Image
sys.path.insert(0, sys.argv[1])
import masks
from masks import Palette, label_map, overlay

def image(pixels, mode="L"):
    kind = {"L": np.uint8, "P": np.uint8, "RGB": np.uint8, "RGBA": np.uint8, "I;16": np.uint16, "I": np.int32}
    made = np.asarray(pixels, kind[mode])
    if mode == "P":
        found = Image.frombytes("P", made.shape[::-1], made.tobytes())
        found.putpalette([*range(255, 0, -5)] * 3)
        return found
    return Image.fromarray(made)

def linear(scores, size):
    given = torch.from_numpy(scores)[None]
    large = torch.nn.functional.interpolate(given, size=size, mode="bilinear", align_corners=False)
    return large[0].numpy()

def behind(found, large):
    # How far the scores of the classes that were found are below the best ones.
    return float((large.max(0) - np.take_along_axis(large, found[None], 0)[0]).max())

for line in sys.stdin:
    try:
        answer = eval(json.loads(line))
        answer = answer.tolist() if isinstance(answer, (np.ndarray, np.generic)) else answer
        print(json.dumps({"is": answer}), flush=True)
    except ValueError as error:
        print(json.dumps({"raises": str(error)}), flush=True)
"""

Entry = dict[str, Any]
Ask = Callable[[str], Any]


@pytest.fixture(scope="module")
def ask(tao_environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Evaluates an expression beside the generated module."""
    folder = tmp_path_factory.mktemp("masks")
    jinja = jinja2.Environment(
        loader=jinja2.FileSystemLoader(resources.tree("templates")),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    (folder / "masks.py").write_text(jinja.get_template("_partials/masks.py.jinja").render(title="T"))
    runner = folder / "runner.py"
    runner.write_text(_RUNNER)
    with subprocess.Popen(
        [tao_environment.python, "-W", "ignore", runner, folder],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder), "OMP_NUM_THREADS": "1"},
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        stdin, stdout = process.stdin, process.stdout

        def evaluate(expression: str) -> Any:
            stdin.write(json.dumps(expression) + "\n")
            stdin.flush()
            line = stdout.readline()
            assert line, expression
            answer = json.loads(line)
            if "raises" in answer:
                raise ValueError(answer["raises"])
            return answer["is"]

        yield evaluate
        stdin.close()


def entry(name: str, number: int, *rgb: int, mapping: str = "") -> Entry:
    return {"seg_class": name, "mapping_class": mapping or name, "label_id": number, "rgb": list(rgb)}


GREY = [entry("wall", 0, 0), entry("floor", 1, 1), entry("sky", 2, 2)]
REDUCED = [entry("wall", 0, 1), entry("floor", 1, 2), entry("sky", 2, 3)]
COLOURS = [entry("wall", 0, 128, 0, 0), entry("floor", 1, 0, 128, 0), entry("sky", 2, 0, 0, 0)]


def palette(entries: Sequence[Entry], classes: int = 3) -> str:
    return f"Palette({list(entries)!r}, {classes})"


def numbers(ask: Ask, entries: Sequence[Entry], pixels: Any, mode: str = "L", classes: int = 3) -> Any:
    return ask(f"{palette(entries, classes)}.class_numbers(image({pixels!r}, {mode!r}))")


def test_grey_levels_are_classes_and_others_are_none(ask: Ask) -> None:
    assert numbers(ask, GREY, [[0, 1, 2], [3, 254, 255]]) == [[0, 1, 2], [255, 255, 255]]


def test_of_reduced_labels_grey_zero_is_none(ask: Ask) -> None:
    assert numbers(ask, REDUCED, [[0, 1, 2], [3, 4, 255]]) == [[255, 0, 1], [2, 255, 255]]


@pytest.mark.parametrize("mode", ["P", "I;16", "I"])
def test_grey_masks_of_every_mode_are_read_by_their_numbers(ask: Ask, mode: str) -> None:
    # The colours that a mask of mode P has for its numbers say nothing.
    assert numbers(ask, GREY, [[2, 1], [0, 7]], mode) == [[2, 1], [0, 255]]


@pytest.mark.parametrize("mode", ["I;16", "I"])
def test_levels_beyond_a_byte_do_not_come_round(ask: Ask, mode: str) -> None:
    wide = [entry("a", 0, 1), entry("b", 1, 300)]
    assert numbers(ask, wide, [[1, 257, 300, 44]], mode, 2) == [[0, 255, 1, 255]]


def test_a_grey_palette_reads_a_grey_picture_in_colours(ask: Ask) -> None:
    assert numbers(ask, GREY, [[[1, 1, 1], [2, 2, 2]]], "RGB") == [[1, 2]]


def test_colours_are_classes_and_others_are_none(ask: Ask) -> None:
    pixels = [[[0, 128, 0], [128, 0, 0]], [[0, 0, 0], [0, 0, 128]]]
    assert numbers(ask, COLOURS, pixels, "RGB") == [[1, 0], [2, 255]]
    opaque = [[[*pixel, 9] for pixel in row] for row in pixels]
    assert numbers(ask, COLOURS, opaque, "RGBA") == [[1, 0], [2, 255]]


def test_no_two_colours_are_mixed_up(ask: Ask) -> None:
    near = [entry("a", 0, 0, 1, 0), entry("b", 1, 1, 0, 0), entry("c", 2, 0, 0, 255)]
    pixels = [[[0, 1, 0], [1, 0, 0], [0, 0, 255], [0, 0, 1], [255, 255, 255]]]
    assert numbers(ask, near, pixels, "RGB") == [[0, 1, 2, 255, 255]]


def test_two_classes_of_a_mask_are_trained_as_one(ask: Ask) -> None:
    merged = [entry("road", 0, 10), entry("ceiling", 7, 11, mapping="sky"), entry("sky", 1, 12)]
    assert numbers(ask, merged, [[10, 11, 12, 13]], classes=2) == [[0, 1, 1, 255]]
    assert ask(f"{palette(merged, 2)}.names") == ["road", "sky"]


def test_the_channels_follow_the_label_ids_not_the_lines(ask: Ask) -> None:
    turned = [entry("sky", 9, 0), entry("wall", 4, 1), entry("floor", 6, 2)]
    assert ask(f"{palette(turned)}.names") == ["wall", "floor", "sky"]
    assert numbers(ask, turned, [[0, 1, 2]]) == [[2, 0, 1]]


@pytest.mark.parametrize(
    ("entries", "classes", "says"),
    [
        ([*GREY, entry("tree", 3, 3, mapping="plant")], 4, "maps to ['plant'], which it has no entry for"),
        (GREY, 4, "num_classes is 4, but the palette has 3 classes"),
        (GREY, 2, "num_classes is 2, but the palette has 3 classes"),
        ([*GREY[:2], entry("sky", 2, 1)], 3, "look alike"),
        ([*COLOURS[:2], entry("sky", 2, 0, 128, 0)], 3, "look alike"),
        ([*GREY, entry("sky", 2, 3)], 3, "two entries of one seg_class"),
        ([*GREY[:2], entry("sky", 2, 0, 0, 9)], 3, "both grey levels and colours"),
        ([], 1, "the palette has 0 classes"),
    ],
)
def test_a_palette_that_contradicts_itself_is_refused(
    ask: Ask, entries: list[Entry], classes: int, says: str
) -> None:
    with pytest.raises(ValueError, match="palette") as caught:
        ask(f"{palette(entries, classes)}.names")
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("ids", "kind"), [((0, 1, 2), "uint8"), ((7, 33, 255), "uint8"), ((0, 256, 300), "uint16")]
)
def test_label_ids_come_back_in_the_smallest_kind_that_holds_them(
    ask: Ask, ids: tuple[int, ...], kind: str
) -> None:
    entries = [
        entry(name, number, place) for place, (name, number) in enumerate(zip("abc", ids, strict=True))
    ]
    call = f"{palette(entries)}.label_ids(np.asarray([[2, 0], [1, 1]]))"
    assert ask(call) == [[ids[2], ids[0]], [ids[1], ids[1]]]
    assert ask(f"{call}.dtype.name") == kind
    # Pillow writes it and reads it again.
    saved = f"[Image.fromarray({call}).save('m.png'), np.asarray(Image.open('m.png'))][1]"
    assert ask(f"{saved}.astype(int)") == [[ids[2], ids[0]], [ids[1], ids[1]]]


SIZES = [
    ((3, 8, 8), (32, 32)),
    ((5, 7, 9), (61, 40)),
    ((2, 16, 4), (200, 131)),
    ((4, 10, 10), (10, 10)),
    ((4, 12, 15), (5, 7)),
    ((3, 1, 1), (9, 13)),
    ((150, 8, 6), (65, 64)),
]


@pytest.mark.parametrize(("scores", "size"), SIZES)
def test_a_label_map_is_what_pytorch_makes_of_the_scores(
    ask: Ask, scores: tuple[int, ...], size: tuple[int, int]
) -> None:
    made = f"np.random.default_rng(4).standard_normal({scores}).astype('float32')"
    ours, theirs = f"label_map({made}, {size})", f"linear({made}, {size})"
    assert ask(f"list({ours}.shape)") == [*size]
    # Where two classes are equally likely but for rounding, either is right.
    assert ask(f"behind({ours}, {theirs})") < 1e-5
    assert ask(f"float(({ours} == {theirs}.argmax(0)).mean())") >= 0.999


def test_the_map_has_as_many_classes_as_the_scores(ask: Ask) -> None:
    made = "np.random.default_rng(0).standard_normal((300, 2, 2)).astype('float32')"
    assert ask(f"int(label_map({made} + 9 * (np.arange(300) == 299)[:, None, None], (4, 4)).min())") == 299


def test_half_of_an_overlay_is_the_picture_and_half_the_colours_of_the_classes(ask: Ask) -> None:
    grey = "np.full((2, 3, 3), 100, np.uint8)"
    made = ask(f"overlay({grey}, np.asarray([[0, 0, 1], [2, 1, 0]]))")
    assert ask(f"overlay({grey}, np.zeros((2, 3), int)).dtype.name") == "uint8"
    first, second, third = made[0][0], made[0][2], made[1][0]
    assert made == [[first, first, second], [third, second, first]]
    assert len({tuple(first), tuple(second), tuple(third)}) == 3
    # Half of 100, and half of a colour whose channels go from a quarter to the whole.
    assert all(50 + 31 <= channel <= 50 + 127 for pixel in (first, second, third) for channel in pixel)
    # A class keeps its colour whichever others are in the picture.
    assert ask(f"overlay({grey}, np.asarray([[2, 5, 2], [2, 2, 2]]))")[0][0] == third
