"""Jobs on real engines: Podman's socket, and a Docker daemon where one can be had."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from porter.errors import PorterError
from porter.launch.drivers.choose import driver as choose
from porter.launch.drivers.docker import DockerDriver
from porter.records.jobs import JobRequest, Started
from porter.records.sandbox import Engine
from porter.records.training import Mount
from porter.sandbox.engines import output
from tests.launch.drivers import engines
from tests.launch.drivers.waiting import ended, until


@pytest.fixture
def host(
    engine: Engine, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    with engines.offered(engine, request, tmp_path, monkeypatch) as address:
        yield address


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "dino-1"
    folder.mkdir()
    return folder


@pytest.fixture
def driver(host: str, engine: Engine, run: Path) -> Iterator[DockerDriver]:
    made = choose("docker", run)
    assert isinstance(made, DockerDriver)
    yield made
    engines.remove(engine, list(made.known()))


@pytest.fixture
def request_(engine: Engine, tmp_path: Path) -> JobRequest:
    return JobRequest(
        name="train",
        network="dino",
        action="train",
        command="python3 /tool/tao.py train -e {config_path}",
        spec={"dataset": {"root": "/data/train"}, "epochs": 2},
        image=engines.image(engine),
        gpus=0,
        mounts=(engines.tool(tmp_path / "tool"),),
    )


def _says(request: JobRequest, what: str) -> JobRequest:
    return msgspec.structs.replace(request, command=request.command.replace(" train ", f" {what} "))


def _status(driver: DockerDriver, started: Started) -> dict[str, Any]:
    read = driver.read(started.results, "train/status.json")
    assert read is not None
    told: dict[str, Any] = json.loads(read)
    return told


def test_a_job_writes_results_that_are_the_callers(
    driver: DockerDriver, run: Path, request_: JobRequest
) -> None:
    started = driver.start(request_)
    assert ended(driver, started.id) == "complete"
    assert started.results == str(run / "results" / started.id / "results_dir")
    assert driver.files(started.results) == ("train/model.pth", "train/status.json")
    assert driver.read(started.results, "train/model.pth") == b"\x80weights\xff"
    assert driver.read(started.results, "train/none.pth") is None
    assert {path.stat().st_uid for path in (run / "results").rglob("*")} == {os.getuid()}
    values = _status(driver, started)["values"]
    assert values["epochs"] == "2"
    assert values["results_dir"] == f"/results/{started.id}/results_dir"
    assert "read /results/" in driver.logs(started.id)


def test_the_launcher_changes_a_spec_of_the_job_own(
    driver: DockerDriver, run: Path, request_: JobRequest
) -> None:
    first, second = driver.start(request_), driver.start(msgspec.structs.replace(request_, spec={}))
    assert [ended(driver, job.id) for job in (first, second)] == ["complete", "complete"]
    written = [(run / "results" / job.id / "spec.yaml").read_text() for job in (first, second)]
    assert [text.count("num_gpus: 1") for text in written] == [1, 1]
    assert not any("num_gpus" in path.read_text() for path in (run / "specs").iterdir())
    assert "epochs" not in written[1]


def test_a_job_that_fails_is_an_error_with_what_it_printed(
    driver: DockerDriver, request_: JobRequest
) -> None:
    started = driver.start(_says(request_, "fail"))
    assert ended(driver, started.id) == "error"
    assert "CUDA out of memory" in driver.logs(started.id)
    assert driver.logs(started.id, tail=1) == "CUDA out of memory\n"
    assert driver.files(started.results) == ()


def test_a_cancelled_job_ends_and_leaves_what_it_printed(driver: DockerDriver, request_: JobRequest) -> None:
    started = driver.start(_says(request_, "wait"))
    until(lambda: "read" in driver.logs(started.id))
    assert driver.state(started.id) == "running"
    assert driver.cancel(started.id)
    assert driver.state(started.id) == "canceled"
    assert "read /results/" in driver.logs(started.id)
    assert driver.cancel(started.id)


def test_another_porter_goes_on_with_the_jobs(driver: DockerDriver, run: Path, request_: JobRequest) -> None:
    done, failed, running = (
        driver.start(request_), driver.start(_says(request_, "fail")), driver.start(_says(request_, "wait"))
    )  # fmt: skip
    ended(driver, failed.id)
    other = DockerDriver(run)
    assert list(other.known().values()) == [done, failed, running]
    assert ended(other, done.id) == "complete"
    assert ended(other, failed.id) == "error"
    assert other.state(running.id) == "running"
    assert "CUDA out of memory" in other.logs(failed.id)
    assert other.cancel(running.id)
    assert driver.state(running.id) == "canceled"


def test_folders_are_mounted_for_reading_only_each_where_it_is_asked_for(
    driver: DockerDriver, tmp_path: Path, request_: JobRequest
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "images.txt").write_text("three")
    mounts = [Mount(source=str(data), target=target) for target in ("/data/train", "/data/weights")]
    look = "python3 /tool/tao.py train -e {config_path} --try /data/train /data/weights /specs /results"
    asked = msgspec.structs.replace(
        request_,
        mounts=(*request_.mounts, *mounts),
        command=f"cat /data/train/images.txt /data/weights/images.txt && {look}",
    )
    started = driver.start(asked)
    assert ended(driver, started.id) == "complete"
    assert driver.logs(started.id).startswith("threethree")
    assert _status(driver, started)["wrote"] == ["/results"]
    assert [path.name for path in data.iterdir()] == ["images.txt"]


def test_a_job_sees_the_secrets_that_are_named_and_sends_nothing_home(
    driver: DockerDriver, run: Path, request_: JobRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = {
        name: f"value-of-{name}"
        for name in ("HF_TOKEN", "NGC_API_KEY", "ACCESS_KEY", "SECRET_KEY", "AWS_SESSION_TOKEN")
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    named = DockerDriver(run, secrets=("NGC_KEY",))
    started = named.start(request_)
    assert ended(named, started.id) == "complete"
    env = _status(named, started)["env"]
    assert env["NGC_KEY"] == values["NGC_API_KEY"]
    others = {value for name, value in values.items() if name != "NGC_API_KEY"}
    assert not [text for text in env.values() if any(other in text for other in others)]
    assert env["TELEMETRY_OPT_OUT"] == "yes"
    assert env["DO_NOT_TRACK"] == "1"
    assert {name: os.environ[name] for name in values} == values
    assert "NGC_KEY" not in os.environ
    kept = b"".join(path.read_bytes() for path in (run / "sdk").rglob("*") if path.is_file())
    assert not [value for value in values.values() if value.encode() in kept]


def test_what_a_job_prints_of_its_secrets_is_not_shown(
    driver: DockerDriver, run: Path, request_: JobRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_abcdefghijk")
    named = DockerDriver(run, secrets=("HF_TOKEN",))
    started = named.start(msgspec.structs.replace(request_, command="echo token $HF_TOKEN"))
    assert ended(named, started.id) == "complete"
    assert named.logs(started.id) == "token (not shown)\n"


def test_nothing_is_written_outside_the_run_or_said(
    driver: DockerDriver,
    engine: Engine,
    run: Path,
    request_: JobRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    here = tmp_path / "cwd"
    here.mkdir()
    monkeypatch.chdir(here)
    networks = output(engine, ["network", "ls", "-q"])
    ended(driver, driver.start(request_).id)
    assert output(engine, ["network", "ls", "-q"]) == networks
    assert not list(here.iterdir())
    assert not [path for path in Path.home().iterdir() if "tao" in path.name]
    assert {"state.db", "docker.json", "sdk.log"} <= {path.name for path in (run / "sdk").iterdir()}
    assert capfd.readouterr() == ("", "")


def test_the_users_own_image_root_is_not_who_writes(
    driver: DockerDriver, run: Path, request_: JobRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.getuid():
        pytest.skip("only root can stand in for another user")
    (run / "results").mkdir()
    os.chown(run / "results", 12345, 12345)
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    monkeypatch.setattr(os, "getgid", lambda: 12345)
    started = driver.start(request_)
    assert ended(driver, started.id) == "complete"
    model = Path(started.results, "train", "model.pth").stat()
    assert (model.st_uid, model.st_gid) == (12345, 12345)


def test_an_image_that_cannot_be_had_makes_no_job(
    driver: DockerDriver, run: Path, request_: JobRequest
) -> None:
    with pytest.raises(PorterError, match="Docker did not take the job train") as caught:
        driver.start(msgspec.structs.replace(request_, image="localhost/porter-has-no-such:1"))
    assert caught.value.next_step
    assert driver.known() == {}
    assert DockerDriver(run).known() == {}


def test_a_job_that_was_noted_and_never_began_is_not_known(
    driver: DockerDriver, run: Path, request_: JobRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    class KilledError(BaseException): ...

    def killed(*_: Any, **__: Any) -> None:
        raise KilledError

    from tao_sdk.platforms.docker import DockerHandler

    with monkeypatch.context() as patch:
        patch.setattr(DockerHandler, "create_job", killed)
        patch.setattr(DockerHandler, "cancel_job", killed)
        with pytest.raises(KilledError):
            driver.start(request_)
    started = driver.start(request_)
    assert list(DockerDriver(run).known()) == [started.id]
    ended(driver, started.id)


def test_results_can_be_read_without_the_engine(
    driver: DockerDriver, run: Path, request_: JobRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    started = driver.start(request_)
    ended(driver, started.id)
    with monkeypatch.context() as patch:
        patch.setenv("DOCKER_HOST", f"unix://{tmp_path}/gone.sock")
        gone = DockerDriver(run)
        assert gone.read(started.results, "train/model.pth") == b"\x80weights\xff"
        with pytest.raises(PorterError, match="Docker cannot be reached") as caught:
            gone.state(started.id)
        assert "docker info" in caught.value.next_step
