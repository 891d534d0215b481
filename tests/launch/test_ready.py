"""What is asked for right before something is created, on a fake Docker and on the real Podman."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from porter.errors import DataError, PorterError, UsageError
from porter.launch import catalog, daemon, ready
from porter.records.sandbox import Engine
from porter.records.training import DataFacts, Staged, TrainPlan
from porter.ui import Ui
from tests.launch import fake_docker
from tests.launch.fake_docker import Daemon
from tests.launch.test_plan import REMOTE, planned
from tests.launch.test_platforms import _VARIABLES, SECRET, podman_service, programs

IMAGE = "nvcr.io/nvidia/tao/tao-toolkit:7.1.0-pyt"
NGC = Staged(source="nvidia/tao/pretrained_dino:resnet50", target="/staged/weights/x")


def require(plan_: TrainPlan, ui: Ui, *, named: bool = False) -> None:
    ready.require(plan_, catalog.entry(plan_.model), ui, named=named)


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in _VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setattr(daemon, "DEFAULT", tmp_path / "gone.sock")


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemon]:
    with fake_docker.serve(tmp_path / "d.sock") as found:
        found.here.add(IMAGE)
        monkeypatch.setenv("DOCKER_HOST", found.host)
        yield found


def plan(platform: str = "docker", *staged: Staged, image: str = IMAGE, **more: Any) -> TrainPlan:
    """Return a plan that stages what is named alone, with the credentials that come of planning."""
    made = planned("dino", "num_classes=9", platform=platform, image=image, automl="off", **more)
    return msgspec.structs.replace(made, staged=staged)


def yes() -> Ui:
    return Ui(assume_yes=True, quiet=True)


def test_an_image_that_is_here_needs_no_key(docker: Daemon) -> None:
    require(plan(), yes())
    assert docker.logins == []
    assert all(method == "GET" for method, _ in docker.requests)


def test_all_missing_secrets_are_named_with_where_to_get_them(docker: Daemon) -> None:
    with pytest.raises(UsageError) as caught:
        require(plan("docker", NGC, facts={"train": REMOTE}), yes())
    said = str(caught.value)
    for name in ("NGC_KEY", "ACCESS_KEY", "SECRET_KEY"):
        assert name in caught.value.what
        assert name in caught.value.next_step
    assert "https://org.ngc.nvidia.com/setup" in said
    assert "from who runs it" in said
    assert docker.requests == []


def test_a_secret_counts_as_it_is_now_and_by_its_other_name(
    docker: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = plan("docker", NGC, facts={"train": REMOTE})
    for name in ("NGC_API_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, SECRET)
    require(asked, yes())
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "")
    with pytest.raises(UsageError, match="SECRET_KEY"):
        require(asked, yes())


def test_keys_of_a_profile_are_enough_where_porter_stages(
    tmp_path: Path, docker: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "keys").write_text(f"[default]\naws_access_key_id=a\naws_secret_access_key={SECRET}\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "keys"))
    require(plan(facts={"train": REMOTE}), yes())
    monkeypatch.setenv("PATH", programs(tmp_path / "bin", "brev"))
    for name in ("BREV_API_TOKEN", "NGC_KEY", "S3_BUCKET_NAME"):
        monkeypatch.setenv(name, SECRET)
    with pytest.raises(UsageError, match="ACCESS_KEY, SECRET_KEY") as caught:
        require(plan("brev", facts={"train": REMOTE}), yes())
    assert SECRET not in str(caught.value)


def test_a_platform_that_does_not_answer_is_told() -> None:
    with pytest.raises(PorterError, match="docker cannot be used now") as caught:
        require(plan(), yes())
    assert "there is no such socket" in str(caught.value)
    assert "DOCKER_HOST" in caught.value.next_step or "docker" in caught.value.next_step


def test_a_platform_that_lacks_several_things_tells_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", programs(tmp_path / "bin"))
    for name in ("SLURM_USER", "SLURM_HOSTNAME", "SLURM_PARTITION", "SLURM_BASE_RESULTS_DIR", "NGC_KEY"):
        monkeypatch.setenv(name, SECRET)
    with pytest.raises(PorterError, match="ssh: not on PATH"):
        require(plan("slurm"), yes())
    monkeypatch.delenv("SLURM_USER")
    monkeypatch.delenv("SLURM_HOSTNAME")
    with pytest.raises(UsageError, match="SLURM_USER, SLURM_HOSTNAME"):
        require(plan("slurm"), yes())


def test_the_image_is_asked_about(docker: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def answer(reply: bool) -> Callable[..., bool]:
        def confirm(_self: Ui, question: str, **_more: str) -> bool:
            asked.append(question)
            return reply

        return confirm

    monkeypatch.setattr(Ui, "confirm", answer(True))
    require(plan(), Ui(quiet=True))
    assert asked == [f"Run {IMAGE} on docker?"]
    monkeypatch.setattr(Ui, "confirm", answer(False))
    with pytest.raises(UsageError, match="turned down") as caught:
        require(plan(), Ui(quiet=True))
    assert "--image REF" in caught.value.next_step
    require(plan(), Ui(quiet=True), named=True)
    assert len(asked) == 2


def test_without_anybody_to_ask_the_options_are_named(
    docker: Daemon, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UsageError, match="porter would ask") as caught:
        require(plan(), Ui())
    assert "--yes" in caught.value.next_step
    assert "--image REF" in caught.value.next_step
    assert f"image     {IMAGE}" in capsys.readouterr().err


def test_this_machine_is_asked_about_no_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Ui, "confirm", None)
    with pytest.raises(UsageError, match="NGC_KEY"):
        require(plan("virtualenv"), Ui(quiet=True))
    monkeypatch.setenv("NGC_KEY", SECRET)
    require(plan("virtualenv"), Ui(quiet=True))


def test_other_platforms_look_at_no_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", programs(tmp_path / "bin", "brev"))
    for name in ("BREV_API_TOKEN", "NGC_KEY", "S3_BUCKET_NAME", "ACCESS_KEY", "SECRET_KEY"):
        monkeypatch.setenv(name, SECRET)
    monkeypatch.setattr(daemon, "find_image", None)
    require(plan("brev", facts={"train": REMOTE}), yes())
    # What lies here cannot be brought there, and porter uploads nothing.
    local = Staged(source="/home/me/train/images", target="/staged/train/images")
    with pytest.raises(DataError, match="lies on this machine"):
        require(plan("brev", local), yes())


@pytest.mark.parametrize("image", [IMAGE, "registry.example.com/tao:1", "own/tao:1"])
def test_an_image_of_a_registry_is_looked_up_with_the_key_of_nvidia_alone(
    docker: Daemon, monkeypatch: pytest.MonkeyPatch, image: str
) -> None:
    docker.here.clear()
    docker.registry[image] = (200, "")
    monkeypatch.setenv("NGC_KEY", SECRET)
    require(plan(image=image), yes())
    wanted = {"username": "$oauthtoken", "password": SECRET} if image == IMAGE else {}
    assert docker.logins == [wanted]


@pytest.mark.parametrize(
    ("image", "status", "message", "said", "step"),
    [
        (IMAGE, 401, "unauthorized: authentication required", "the registry refuses the key", "set NGC_KEY"),
        (IMAGE, 404, "manifest unknown", "the registry has no such image", "docker login nvcr.io"),
        ("own/tao:1", 403, "denied: requested access is denied", "refuses the key", "docker login docker.io"),
        (
            "x.example.com/tao:1",
            500,
            "dial tcp: no such host",
            "cannot be reached",
            "docker login x.example.com",
        ),
        ("localhost/tao:1", 404, "manifest unknown", "has no such image", "--image REF takes another one"),
    ],
)
def test_an_image_that_cannot_be_had_is_told(
    docker: Daemon,
    monkeypatch: pytest.MonkeyPatch,
    image: str,
    status: int,
    message: str,
    said: str,
    step: str,
) -> None:
    docker.registry[image] = (status, message)
    docker.here.clear()
    monkeypatch.setenv("NGC_KEY", SECRET)
    with pytest.raises(PorterError) as caught:
        require(plan(image=image), yes())
    assert image in caught.value.what
    assert said in caught.value.what
    assert caught.value.why == message
    assert caught.value.next_step.startswith("--image REF takes another one")
    assert step in caught.value.next_step
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "message", "warned"),
    [(200, "", False), (404, "unauthorized: authentication required", True)],
)
def test_podman_is_asked_in_its_own_way(
    docker: Daemon, capsys: pytest.CaptureFixture[str], status: int, message: str, warned: bool
) -> None:
    docker.podman = True
    docker.here.clear()
    docker.registry[IMAGE] = (status, message)
    require(plan(), yes())
    assert ("the job's start pulls it" in capsys.readouterr().err) is warned
    assert docker.logins == [{}]
    docker.registry[IMAGE] = (404, "reading image: manifest unknown")
    with pytest.raises(PorterError, match="has no such image"):
        require(plan(), yes())


def test_the_real_podman_is_asked(podman: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "p.sock"
    with podman_service(podman, path):
        monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
        with pytest.raises(PorterError, match="cannot be reached") as caught:
            require(plan(image="127.0.0.1:9/nobody/tao:1"), yes())
    assert "docker login 127.0.0.1:9" in caught.value.next_step


def test_no_gpus_in_containers_is_said_aloud(docker: Daemon, capsys: pytest.CaptureFixture[str]) -> None:
    require(plan(), yes())
    assert "no job sees a GPU" in capsys.readouterr().err
    docker.runtimes["nvidia"] = {}
    require(plan(), yes())
    assert capsys.readouterr().err == ""


def test_local_data_needs_no_keys(docker: Daemon) -> None:
    facts = DataFacts(uri="/d", kind="coco", images=40, annotations=60, categories=4, max_category_id=4)
    made = plan(facts={"train": facts})
    assert [one.name for one in made.credentials] == ["NGC_KEY"]
    require(made, yes())
    assert docker.logins == []
