"""Remote data is held to the same as local data, once it is staged."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from porter.errors import DataError, SettingError
from porter.launch import catalog, staging
from porter.launch.recheck import recheck
from porter.records.catalog import Origin
from porter.records.training import DataFacts, TrainPlan
from porter.ui import Ui
from tests.launch import s3
from tests.launch.fields import class_folders, coco, edit
from tests.launch.s3 import Store
from tests.launch.test_plan import planned


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    yield from s3.serve()


@pytest.fixture
def store(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Store:
    return s3.emptied(endpoint, monkeypatch)


def checked(run: Path, model: str, *settings: str, platform: str = "virtualenv", **uris: str) -> TrainPlan:
    """Plan on what is not known yet, stage that, and look at it."""
    remote: dict[Origin, DataFacts] = {
        origin: DataFacts(uri=uris[origin], kind="remote") for origin in ("train", "eval") if origin in uris
    }
    plan = planned(model, *settings, facts=remote, platform=platform, automl="off")
    # Weights of NGC are not what this is about.
    staged = tuple(one for one in plan.staged if one.source.startswith("s3://"))
    run.mkdir(parents=True)
    staging.stage(staged, run, Ui(quiet=True))
    return recheck(msgspec.structs.replace(plan, staged=staged), catalog.entry(model), run)


@pytest.mark.parametrize("platform", ["virtualenv", "docker"])
def test_coco_data_is_counted(tmp_path: Path, store: Store, platform: str) -> None:
    train = store.upload(coco(tmp_path / "t", archive="images/*"), "t")
    other = store.upload(coco(tmp_path / "v", images=2), "v")
    made = checked(tmp_path / "run", "dino", "num_classes=5", train=train, eval=other, platform=platform)
    assert list(made.data) == ["train", "eval"]
    assert made.data["train"] == DataFacts(
        uri=train, kind="coco", images=3, annotations=3, categories=2, max_category_id=4
    )
    assert made.data["eval"].images == 2


def test_one_set_for_both_is_found_where_it_is(tmp_path: Path, store: Store) -> None:
    uri = store.upload(coco(tmp_path / "t"), "t")
    made = checked(tmp_path / "run", "dino", "num_classes=5", train=uri, eval=uri)
    assert made.data["eval"].images == made.data["train"].images == 3


# The second is the default of the dataclass, and so in no spec.
@pytest.mark.parametrize(("count", "greatest"), [(5, 7), (91, 99)])
def test_a_class_count_that_is_too_low_is_refused(
    tmp_path: Path, store: Store, count: int, greatest: int
) -> None:
    uri = store.upload(coco(tmp_path / "t", ids=(1, greatest)), "t")
    with pytest.raises(SettingError) as caught:
        checked(tmp_path / "run", "dino", f"num_classes={count}", train=uri)
    assert f"the greatest category id of the data is {greatest}" in str(caught.value)
    assert caught.value.next_step == f"--set dataset.num_classes={greatest + 1}"


def first(name: str, **fields: Any) -> Any:
    return lambda document: document[name][0].update(fields)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (first("images", file_name="gone.jpg"), "1 of 3 images"),
        (first("annotations", category_id=9), "1 of 3 annotations"),
        (lambda document: document.clear(), "no list of images"),
    ],
)
def test_wrong_annotations_are_refused(tmp_path: Path, store: Store, change: Any, said: str) -> None:
    uri = store.upload(edit(coco(tmp_path / "t", archive="*"), change), "t")
    with pytest.raises(DataError, match=said):
        checked(tmp_path / "run", "dino", "num_classes=5", train=uri)


def test_class_folders_are_compared(tmp_path: Path, store: Store) -> None:
    train = store.upload(class_folders(tmp_path / "t", {"a": 2, "b": 1}), "t")
    other = store.upload(class_folders(tmp_path / "v", {"a": 1}, split="val"), "v")
    asked = ("classification_pyt", "num_classes=2")
    made = checked(tmp_path / "run", *asked, train=train, eval=other)
    assert made.data["train"].classes == {"a": 2, "b": 1}
    store.upload(class_folders(tmp_path / "c", {"c": 1}, split="val"), "v")
    with pytest.raises(DataError, match="1 classes of"):
        checked(tmp_path / "other", *asked, train=train, eval=other)


def test_local_data_stays_as_it_was_found(tmp_path: Path) -> None:
    known = DataFacts(uri="/gone", kind="coco", images=4, annotations=4, categories=1, max_category_id=1)
    plan = planned("dino", "num_classes=5", facts={"train": known}, automl="off")
    assert recheck(plan, catalog.entry("dino"), tmp_path) == plan
