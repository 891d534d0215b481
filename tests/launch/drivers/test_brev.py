"""Jobs on a rented machine, by a program of the tests in the place of Brev's."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from porter.errors import PorterError
from porter.launch.drivers.brev import BrevDriver
from porter.records.jobs import JobRequest
from tests.launch.drivers.cloud import Cloud
from tests.launch.drivers.waiting import ended, until

REQUEST = JobRequest(
    name="train",
    network="dino",
    action="train",
    command="dino train -e {config_path}",
    spec={"train": {"num_gpus": 1}, "note": "it's"},
    image="nvcr.io/nvidia/tao/tao-toolkit:7.0.1-pyt",
)
_TOKEN = "brev-token-value"


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    monkeypatch.setenv("S3_BUCKET_NAME", "runs")
    monkeypatch.setenv("BREV_API_TOKEN", _TOKEN)
    for name in ("ACCESS_KEY", "HF_TOKEN", "NGC_KEY"):
        monkeypatch.setenv(name, f"value-of-{name}")
    return Cloud(tmp_path, monkeypatch)


@pytest.fixture
def driver(cloud: Cloud, tmp_path: Path) -> BrevDriver:
    return BrevDriver(tmp_path / "DINO_x-1", ("BREV_API_TOKEN", "ACCESS_KEY"))


def test_a_job_is_started_in_a_container_of_the_machine(cloud: Cloud, driver: BrevDriver) -> None:
    started = driver.start(REQUEST)
    arguments = cloud.said("docker.run").splitlines()
    for argument in (
        "AWS_ACCESS_KEY_ID=value-of-ACCESS_KEY",
        "TELEMETRY_OPT_OUT=yes",
        f"TAO_JOB_ID={started.id}",
        "S3_BUCKET_NAME=runs",
        REQUEST.image,
    ):
        assert argument in arguments
    assert '{"train": {"num_gpus": 1}, "note": "it' in cloud.said("docker.run")
    assert started.results == f"s3://runs/results/{started.id}/results_dir"
    everything = cloud.said("docker.run") + cloud.said("brev.log") + cloud.said("brev.env")
    assert "value-of-HF_TOKEN" not in everything
    assert "value-of-NGC_KEY" not in everything
    assert ended(driver, started.id) == "complete"
    assert driver.logs(started.id) == "epoch 1\n"


def test_the_jobs_of_a_run_share_one_machine(cloud: Cloud, driver: BrevDriver) -> None:
    first = driver.start(REQUEST)
    second = BrevDriver(driver.folder).start(REQUEST)
    assert first.id != second.id
    (name,) = cloud.machines
    assert name.startswith("porter-dino-x-1-")
    BrevDriver(driver.folder.with_name("dino-2")).start(REQUEST)
    assert len(cloud.machines) == 2


def test_a_job_that_fails_is_an_error(cloud: Cloud, driver: BrevDriver) -> None:
    cloud.does("exit", "3")
    started = driver.start(REQUEST)
    assert ended(driver, started.id) == "error"
    assert driver.logs(started.id) == "epoch 1\n"


def test_another_porter_cancels_the_job(cloud: Cloud, driver: BrevDriver) -> None:
    cloud.does("lasts")
    started = driver.start(REQUEST)
    until(lambda: driver.state(started.id) == "running")
    other = BrevDriver(driver.folder)
    assert other.known() == {started.id: started}
    assert other.state(started.id) == "running"
    assert other.cancel(started.id)
    assert other.state(started.id) == "canceled"


def test_no_secret_is_logged_or_said(
    cloud: Cloud, driver: BrevDriver, capfd: pytest.CaptureFixture[str]
) -> None:
    started = driver.start(REQUEST)
    ended(driver, started.id)
    assert f"login --token {_TOKEN}" in cloud.said("brev.log")
    kept = b"".join(path.read_bytes() for path in driver.folder.rglob("*") if path.is_file())
    for value in (_TOKEN, "value-of-ACCESS_KEY"):
        assert value.encode() not in kept
    assert capfd.readouterr() == ("", "")


def test_what_brev_says_is_told_without_secrets(cloud: Cloud, driver: BrevDriver) -> None:
    cloud.does("refuses")
    with pytest.raises(PorterError, match="Brev did not take the job train") as caught:
        driver.start(REQUEST)
    assert "no organisation of (not shown)" in caught.value.why
    assert "brev login" in caught.value.next_step
    assert driver.known() == {}
    assert cloud.machines == []


def test_without_brev_there_is_no_job(
    tmp_path: Path, cloud: Cloud, driver: BrevDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PorterError, match="Brev cannot be reached") as caught:
        driver.start(REQUEST)
    assert "not installed" in caught.value.why
    assert "install it" in caught.value.next_step


@pytest.mark.parametrize("names", ["x" * 45_000, "'" * 5_000], ids=["long", "quoted"])
def test_a_spec_that_no_command_can_carry_is_refused(cloud: Cloud, driver: BrevDriver, names: str) -> None:
    with pytest.raises(PorterError, match="too long"):
        driver.start(msgspec.structs.replace(REQUEST, spec={"names": names}))
    assert cloud.machines == []


def test_there_is_one_machine(cloud: Cloud, driver: BrevDriver) -> None:
    with pytest.raises(PorterError, match="gives a job one node") as caught:
        driver.start(msgspec.structs.replace(REQUEST, nodes=2))
    assert "kubernetes or slurm" in caught.value.next_step
