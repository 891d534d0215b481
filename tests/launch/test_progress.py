"""What is read out of status.json, whole, torn or foreign."""

from __future__ import annotations

from typing import Any

import pytest

from porter.errors import UsageError
from porter.launch import catalog
from porter.launch.progress import best_of, metric_of, read_progress
from porter.records.base import from_json, to_json
from porter.records.catalog import Metric
from porter.records.progress import Best, Progress
from tests.launch.status_file import StatusFile

DINO = catalog.entry("dino").metric
LOSS = Metric(key="val/loss", direction="minimize")


def trained(*values: Any, epochs: int = 10) -> StatusFile:
    """Return a training with one validation an epoch; no validation for None."""
    made = StatusFile(epochs).begin()
    for number, value in enumerate(values):
        made.epoch(number, val=None if value is None else {"val_mAP50": value, "val_loss": 9 - number})
    return made


def test_a_training_under_way_says_epoch_time_and_best() -> None:
    found = read_progress(trained("0.2", "0.437", "0.412").data, metric=DINO)
    assert (found.state, found.message) == ("running", "Train metrics generated.")
    assert (found.epoch, found.epochs, found.by) == (3, 10, "epoch")
    assert found.eta == pytest.approx(7 * 60 + 0.25)
    assert found.series["val_mAP50"] == ((1, 0.2), (2, 0.437), (3, 0.412))
    assert found.series["train_loss"] == ((1, 5.0), (2, 4.0), (3, 3.0))
    assert (found.metric, found.direction, found.best) == ("val_mAP50", "maximize", Best(value=0.437, at=2))
    assert found.last == {"val_mAP50": 0.412, "val_loss": 7.0, "train_loss": 3.0}
    assert found.dropped == {}
    assert found.notes == ()
    assert from_json(to_json(found), Progress) == found


def test_a_value_that_is_repeated_in_later_lines_counts_once_and_in_its_own_epoch() -> None:
    file = trained("0.2", None, None, "0.5")
    file.write("Some warning of a layer.")
    found = read_progress(file.data)
    assert found.series["val_mAP50"] == ((1, 0.2), (4, 0.5))
    assert [at for at, _ in found.series["train_loss"]] == [1, 2, 3, 4]


def test_the_same_value_in_two_epochs_is_two_points() -> None:
    assert read_progress(trained("0.2", "0.2").data).series["val_mAP50"] == ((1, 0.2), (2, 0.2))


def test_a_validation_is_shown_before_its_epoch_has_ended_and_stays_where_it_was() -> None:
    lines = trained("0.2", "0.3").lines
    torn = "\n".join(lines[:-2]) + "\n"
    assert "Eval metrics" in torn.splitlines()[-1]
    early, whole = read_progress(torn.encode()), read_progress(trained("0.2", "0.3").data)
    assert early.epoch == 1
    assert early.series["val_mAP50"] == whole.series["val_mAP50"] == ((1, 0.2), (2, 0.3))


def test_a_training_that_ended_has_no_time_left() -> None:
    found = read_progress(trained("0.2", "0.3", epochs=2).end().data)
    assert (found.epoch, found.epochs, found.eta) == (2, 2, 0.0)
    assert found.message == "Train finished successfully."
    assert len(found.series["train_loss"]) == 2
    stopped = read_progress(trained("0.2", epochs=9).end().data)
    assert (stopped.epoch, stopped.eta) == (1, 0.0)


@pytest.mark.parametrize(
    ("eta", "seconds"),
    [
        ("1 day, 2:03:04.5", 86400 + 7384.5),
        ("2 days, 0:00:01", 2 * 86400 + 1.0),
        ("0:00:09", 9.0),
        ("soon", 60.0 * 8),
        (None, 60.0 * 8),
        ("-1 day, 23:59:59", 60.0 * 8),
    ],
)
def test_the_time_that_is_left_comes_of_the_file_or_else_of_the_pace(eta: str | None, seconds: float) -> None:
    file = StatusFile(10).begin().epoch(0, eta=eta).epoch(1, eta=eta)
    assert read_progress(file.data).eta == pytest.approx(seconds)


def test_nothing_is_guessed_of_the_time_where_there_is_no_pace() -> None:
    assert read_progress(StatusFile(10).begin().data).eta is None
    assert read_progress(StatusFile(10).begin().epoch(0, eta=None).data).eta is None


def test_the_number_of_epochs_is_the_specs_until_the_file_says_it() -> None:
    begun = read_progress(StatusFile(3).begin().data, spec={"train": {"num_epochs": 12}})
    assert (begun.epoch, begun.epochs, begun.by) == (0, 12, "report")
    assert read_progress(trained("0.1").data, spec={"train": {"num_epochs": 12}}).epochs == 10
    for spec in ({}, {"train": None}, {"train": {"num_epochs": "12"}}, {"train": {"num_epochs": True}}):
        assert read_progress(None, spec=spec).epochs == 0


def test_what_is_no_number_is_left_out_and_counted() -> None:
    values = ["0.2", float("nan"), "inf", "-Infinity", "nan", None, True, '"[1, 2]"', [1], {"a": 1}, 10**400]
    found = read_progress(trained(*values, "0.3", epochs=20).data, metric=DINO)
    assert found.series["val_mAP50"] == ((1, 0.2), (12, 0.3))
    assert found.dropped == {"val_mAP50": 9}
    assert found.best == Best(value=0.3, at=12)
    assert found.last["val_mAP50"] == 0.3


def test_a_training_that_is_started_anew_writes_its_epochs_once_more() -> None:
    file = trained("0.2", "0.3", "0.4")
    file.begin().epoch(0, val={"val_mAP50": "0.1"})
    found = read_progress(file.data, metric=DINO)
    assert (found.epoch, found.series["val_mAP50"]) == (1, ((1, 0.1),))
    assert found.best == Best(value=0.1, at=1)


def test_a_training_that_is_resumed_goes_on() -> None:
    file = trained("0.2", "0.3").begin().epoch(2, val={"val_mAP50": "0.4"})
    found = read_progress(file.data)
    assert found.series["val_mAP50"] == ((1, 0.2), (2, 0.3), (3, 0.4))
    elsewhere = StatusFile(10).begin().epoch(5, val={"val_mAP50": "0.4"})
    assert read_progress(elsewhere.data).series["val_mAP50"] == ((6, 0.4),)


def test_reports_without_epochs_are_counted() -> None:
    file = StatusFile(0).write("Starting DINO evaluate.", "STARTED")
    file.kpi = {"test_mAP": "0.3", "test_mAP50": "0.61"}
    file.write("Test metrics generated.").write("Evaluate finished successfully.")
    found = read_progress(file.data, metric=DINO)
    assert (found.by, found.series["test_mAP50"]) == ("report", ((1, 0.61),))
    assert found.metric == "test_mAP50"
    assert metric_of(found, DINO) == 0.61


def test_other_loggers_put_values_beside_the_epoch_and_into_graphical() -> None:
    line = '{"epoch": %d, "max_epoch": 3, "graphical": {"loss": %s}, "kpi": {"val/loss": %s}}\n'
    data = (line % (0, 4, 3) + line % (1, 2, 1)).encode()
    found = read_progress(data, metric=LOSS)
    assert found.series == {"loss": ((1, 4.0), (2, 2.0)), "val/loss": ((1, 3.0), (2, 1.0))}
    assert (found.state, found.best) == ("unknown", Best(value=1.0, at=2))


@pytest.mark.parametrize(
    ("data", "note"),
    [
        (None, "there is no status.json yet"),
        (b"", "status.json is still empty"),
        (b" \n\n", "status.json is still empty"),
        (b'{"status": "RUN', "the last line of status.json is still being written"),
        (b"[1, 2]\n", "status.json: line 1 is no JSON object"),
        (b"\xff\xfe\x00\n" * 5, "status.json: line 1, 2, 3 and 2 more is no JSON object"),
        (b"[" * 100_000 + b"\n", "status.json: line 1 is no JSON object"),
        (b'{\n "jobs": []\n}\n', "status.json: line 1, 2, 3 is no JSON object"),
    ],
)
def test_a_file_that_cannot_be_read_is_told_and_no_error(data: bytes | None, note: str) -> None:
    found = read_progress(data, metric=DINO)
    assert found.notes == (note,)
    assert (found.state, found.series, found.best, found.eta) == ("", {}, None, None)


def test_a_line_that_is_cut_anywhere_takes_nothing_from_those_before() -> None:
    data = trained("0.2", "0.3").data
    whole = data.rindex(b"\n", 0, -1) + 1
    before = read_progress(data[:whole])
    for cut in range(whole + 1, len(data) - 1):
        found = read_progress(data[:cut])
        assert found.series == before.series
        assert found.notes == ("the last line of status.json is still being written",)


@pytest.mark.parametrize(
    "line",
    [
        '{"epoch": "3", "max_epoch": null, "kpi": []}',
        '{"epoch": -1, "kpi": {"a": {"b": 1}}, "status": 5, "message": null}',
        '{"epoch": 1.5, "eta": 7, "date": "x", "time": 3, "graphical": "x"}',
        '{"epoch": true, "max_epoch": true}',
    ],
)
def test_fields_of_other_types_are_no_error(line: str) -> None:
    found = read_progress(f"{line}\n".encode())
    assert (found.epoch, found.epochs, found.series) == (0, 0, {})


def test_the_message_is_one_line_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NGC_KEY", "c4nary-of-a-key")
    file = StatusFile(1).write("\nkey c4nary-of-a-key is wrong\nmore", "FAILURE")
    found = read_progress(file.data)
    assert (found.state, found.message) == ("failure", "key (not shown) is wrong")
    assert len(read_progress(StatusFile(1).write("x" * 9999).data).message) < 400


def test_a_job_is_measured_by_what_it_reported_last() -> None:
    assert metric_of(read_progress(trained("0.2", "0.437", "0.412").data), DINO) == 0.412
    assert metric_of(read_progress(trained("0.2").data), DINO, "val_loss") == 9.0
    assert metric_of(read_progress(None), DINO) is None


def test_a_training_that_ended_in_no_number_is_not_measured_by_an_earlier_one() -> None:
    found = read_progress(trained("0.2", "nan").data, metric=DINO)
    assert found.best == Best(value=0.2, at=1)
    assert metric_of(found, DINO) is None


def test_a_name_that_tells_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="kpi is no metric") as error:
        metric_of(read_progress(trained("0.2").data), DINO, "kpi")
    assert "val_mAP50" in error.value.next_step


def test_the_best_follows_the_direction_and_is_the_first_of_equals() -> None:
    points = ((1, 3.0), (2, 1.0), (3, 1.0), (4, 3.0))
    assert best_of(points, "maximize") == Best(value=3.0, at=1)
    assert best_of(points, "minimize") == Best(value=1.0, at=2)
    assert best_of((), "minimize") is None
