"""Jobs of a Slurm cluster: real shells, with programs of the tests in the place of Slurm's."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from porter.errors import PorterError
from porter.launch.drivers.slurm import SlurmDriver
from porter.records.jobs import JobRequest
from porter.records.training import Mount
from tests.launch.drivers.login_node import LoginNode

REQUEST = JobRequest(
    name="train",
    network="dino",
    action="train",
    command="dino train -e {config_path}",
    spec={"train": {"num_gpus": 4}},
    image="nvcr.io/nvidia/tao/tao-toolkit:7.0.1-pyt",
    gpus=4,
    mounts=(Mount(source="/sets/coco", target="/data/train"),),
)


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LoginNode:
    made = LoginNode(tmp_path, monkeypatch)
    made.has_image(REQUEST.image)
    for name in ("ACCESS_KEY", "HF_TOKEN"):
        monkeypatch.setenv(name, f"value-of-{name}")
    return made


@pytest.fixture
def driver(node: LoginNode, tmp_path: Path) -> SlurmDriver:
    return SlurmDriver(tmp_path / "dino-1", ("HF_TOKEN",))


def _script(node: LoginNode) -> str:
    assert node.script is not None
    return node.script


def test_a_job_is_submitted_with_what_was_asked_for(
    node: LoginNode, driver: SlurmDriver, tmp_path: Path
) -> None:
    started = driver.start(REQUEST)
    script = _script(node)
    lines = script.splitlines()
    for line in ("--nodes=1", "--gres=gpu:4", "--partition=gpu", "--account=account-1"):
        assert f"#SBATCH {line}" in lines
    (run,) = [line for line in lines if "srun " in line]
    assert f"--container-mounts={node.lustre}:{node.lustre},/sets/coco:/data/train:ro " in run
    assert "tao-toolkit_7.0.1-pyt.sqsh" in run
    assert "export HF_TOKEN='value-of-HF_TOKEN'" in lines
    assert "export TELEMETRY_OPT_OUT='yes'" in lines
    assert "value-of-ACCESS_KEY" not in script
    assert started.results == f"{node.lustre}/results/{started.id}/results_dir"
    assert "value-of" not in (node.folder / "ssh.log").read_text()
    assert not [path for path in Path.home().iterdir() if "tao" in path.name]


@pytest.mark.parametrize(
    ("named", "mounted"),
    [
        ("/scratch", "/scratch,{lustre}:{lustre}"),
        ("{lustre}", "{lustre}"),
        ("/real:{lustre}/:rw,/scratch", "/real:{lustre}/:rw,/scratch"),
        ("/lus", "/lus,{lustre}:{lustre}"),
    ],
)
def test_containers_see_what_is_named_and_where_results_go(
    node: LoginNode, driver: SlurmDriver, monkeypatch: pytest.MonkeyPatch, named: str, mounted: str
) -> None:
    monkeypatch.setenv("SLURM_CONTAINER_MOUNTS", named.format(lustre=node.lustre))
    driver.start(msgspec.structs.replace(REQUEST, mounts=()))
    assert f"--container-mounts={mounted.format(lustre=node.lustre)} " in _script(node)


def test_several_nodes_are_told_of_each_other(node: LoginNode, driver: SlurmDriver) -> None:
    driver.start(msgspec.structs.replace(REQUEST, nodes=2))
    lines = _script(node).splitlines()
    for line in ("#SBATCH --nodes=2", "export WORLD_SIZE=2", "export NUM_GPU_PER_NODE=4"):
        assert line in lines
    (run,) = [line for line in lines if "srun " in line]
    assert "--container-env=NODE_RANK,WORLD_SIZE,MASTER_ADDR,MASTER_PORT,NUM_GPU_PER_NODE," in run
    assert "NODE_RANK=${SLURM_NODEID:?}" in run


def _run_node(entry: Path, rank: int, folder: Path, job: str, results: str) -> subprocess.Popen[bytes]:
    """Run what a node runs in its container, but for what is fetched and where the runner is put."""
    folder.mkdir()
    python = folder / "python"
    python.symlink_to(sys.executable)
    script = entry.read_text().replace("pip install", "true").replace("/tmp/_tao", f"{folder}/_tao")
    variables = {
        "PATH": f"{folder}:{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(sys.path),
        "TAO_JOB_ID": job,
        "TAO_RESULTS_ROOT": results,
        "NODE_RANK": str(rank),
    }
    return subprocess.Popen(["bash", "-c", script], env=variables, stderr=subprocess.DEVNULL)


def test_every_node_has_a_spec_of_its_own_and_results_are_in_one_place(
    node: LoginNode, driver: SlurmDriver, tmp_path: Path
) -> None:
    # As TAO's launcher does: the spec is changed, and then read. No node reads before every one has changed.
    changed = tmp_path / "changed"
    changed.mkdir()
    command = (
        f"echo rank: $NODE_RANK >> {{config_path}}; touch {changed}/$NODE_RANK; "
        f"for try in $(seq 300); do test -e {changed}/0 -a -e {changed}/1 && break; sleep 0.1; done; "
        "out=$(sed -n 's/results_dir: //p' {config_path}); "
        "mkdir -p $out/train; cp {config_path} $out/train/$NODE_RANK.yaml"
    )
    started = driver.start(msgspec.structs.replace(REQUEST, nodes=2, command=command, mounts=()))
    entry = node.lustre / "entrypoints" / f"job_{started.id}.sh"
    running = [
        _run_node(entry, rank, tmp_path / f"node{rank}", started.id, f"{node.lustre}/results")
        for rank in (0, 1)
    ]
    assert [process.wait() for process in running] == [0, 0]
    assert driver.files(started.results) == ("train/0.yaml", "train/1.yaml")
    told = [driver.read(started.results, f"train/{rank}.yaml") for rank in (0, 1)]
    ranks = [re.findall(rb"rank: (\d)", text or b"") for text in told]
    assert ranks == [[b"0"], [b"1"]]


def test_results_are_read_over_ssh_byte_by_byte(node: LoginNode, driver: SlurmDriver) -> None:
    started = driver.start(REQUEST)
    assert driver.files(started.results) == ()
    assert driver.read(started.results, "train/model.pth") is None
    place = Path(started.results, "train")
    place.mkdir(parents=True)
    (place / "a model's.pth").write_bytes(bytes(range(256)))
    assert driver.files(started.results) == ("train/a model's.pth",)
    assert driver.read(started.results, "train/a model's.pth") == bytes(range(256))


@pytest.mark.parametrize(
    ("said", "state"),
    [("PENDING", "pending"), ("RUNNING", "running"), ("COMPLETED", "complete"), ("FAILED", "error")],
)
def test_another_porter_sees_how_a_job_is(
    node: LoginNode, driver: SlurmDriver, said: str, state: str
) -> None:
    started = driver.start(REQUEST)
    logs = node.lustre / "slurm-logs" / f"tao-job-{started.id}-17"
    logs.mkdir(parents=True)
    (logs / "main.out").write_text("epoch 1\nepoch 2\n")
    node.says(said)
    other = SlurmDriver(driver.folder)
    assert other.known() == {started.id: started}
    assert other.state(started.id) == state
    assert "epoch 1" in other.logs(started.id)
    assert other.logs(started.id, tail=1) == "epoch 2\n"


def test_a_job_is_cancelled(node: LoginNode, driver: SlurmDriver) -> None:
    started = driver.start(REQUEST)
    assert driver.cancel(started.id)
    assert driver.state(started.id) == "canceled"


def test_a_login_node_that_refuses_is_told(
    node: LoginNode, driver: SlurmDriver, capfd: pytest.CaptureFixture[str]
) -> None:
    node.does("refuses")
    with pytest.raises(PorterError, match="did not take the job train") as caught:
        driver.start(REQUEST)
    assert "Permission denied (publickey)" in caught.value.why
    assert node.script is None
    assert driver.known() == {}
    with pytest.raises(PorterError, match="Slurm does not answer"):
        driver.read("/lustre/results/1/results_dir", "train/status.json")
    assert driver.files("/lustre/results/1/results_dir") == ()
    assert capfd.readouterr() == ("", "")


def test_a_job_that_slurm_rejects_is_none(node: LoginNode, driver: SlurmDriver) -> None:
    node.does("rejects")
    with pytest.raises(PorterError) as caught:
        driver.start(REQUEST)
    assert "invalid partition" in caught.value.why
    assert "sinfo" in caught.value.next_step
    assert driver.known() == {}


@pytest.mark.parametrize("name", ["SLURM_BASE_RESULTS_DIR", "SLURM_PARTITION"])
def test_defaults_of_another_cluster_are_not_taken(
    node: LoginNode, driver: SlurmDriver, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.delenv(name)
    with pytest.raises(PorterError, match=f"{name} is not set") as caught:
        driver.start(REQUEST)
    assert caught.value.next_step.startswith(f"export {name}=")
    assert node.script is None


def test_who_is_to_log_in_has_to_be_named(
    node: LoginNode, driver: SlurmDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SLURM_USER")
    with pytest.raises(PorterError, match="Slurm cannot be reached") as caught:
        driver.start(REQUEST)
    assert "SLURM_USER" in caught.value.why
