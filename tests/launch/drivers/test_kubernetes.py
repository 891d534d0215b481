"""Jobs of a cluster: the real client against a server of the tests."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import msgspec
import pytest
from moto.server import ThreadedMotoServer

from porter.errors import PorterError
from porter.launch.drivers.kubernetes import KubernetesDriver
from porter.records.jobs import JobRequest
from porter.records.training import Mount
from tests.launch.drivers.cluster import Cluster

REQUEST = JobRequest(
    name="train",
    network="dino",
    action="train",
    command="dino train -e {config_path}",
    spec={"dataset": {"train": [{"image_dir": "s3://data/images.tar.gz"}]}, "train": {"num_gpus": 2}},
    image="nvcr.io/nvidia/tao/tao-toolkit:7.0.1-pyt",
    gpus=2,
    inputs=("dataset.train[0].image_dir",),
)
_KEYS = {"ACCESS_KEY": "of-the-bucket", "SECRET_KEY": "very-secret-key", "HF_TOKEN": "hf_not_for_jobs"}


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    made = Cluster()
    monkeypatch.setenv("KUBECONFIG", str(made.kubeconfig(tmp_path)))
    monkeypatch.setenv("S3_BUCKET_NAME", "runs")
    for name, value in _KEYS.items():
        monkeypatch.setenv(name, value)
    yield made
    made.stop()


@pytest.fixture
def driver(cluster: Cluster, tmp_path: Path) -> KubernetesDriver:
    return KubernetesDriver(tmp_path / "dino-1", ("ACCESS_KEY", "SECRET_KEY"))


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    monkeypatch.setenv("S3_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    client = boto3.client(
        "s3",
        endpoint_url=os.environ["S3_ENDPOINT_URL"],
        region_name="us-east-1",
        aws_access_key_id="a",
        aws_secret_access_key="b",
    )
    client.create_bucket(Bucket="runs")
    yield client
    server.stop()


def _only(cluster: Cluster) -> tuple[dict[str, Any], dict[str, Any]]:
    (job,) = cluster.jobs.values()
    (container,) = job["spec"]["template"]["spec"]["containers"]
    return job, container


def test_a_job_is_posted_with_what_was_asked_for(cluster: Cluster, driver: KubernetesDriver) -> None:
    started = driver.start(REQUEST)
    job, container = _only(cluster)
    assert container["image"] == REQUEST.image
    assert container["resources"]["limits"] == {"nvidia.com/gpu": "2"}
    env = {entry["name"]: entry["value"] for entry in container["env"]}
    assert env["AWS_SECRET_ACCESS_KEY"] == "very-secret-key"
    assert env["TAO_JOB_ID"] == started.id
    assert env["TELEMETRY_OPT_OUT"] == "yes"
    assert "hf_not_for_jobs" not in str(job)
    assert "completions" not in job["spec"]
    assert started.results == f"s3://runs/results/{started.id}/results_dir"


def test_the_command_brings_the_inputs_and_writes_the_spec(
    cluster: Cluster, driver: KubernetesDriver
) -> None:
    driver.start(REQUEST)
    _, container = _only(cluster)
    shell, _, command = container["command"]
    assert shell == "/bin/bash"
    last = shlex.split(command.splitlines()[-1])
    given = dict(zip(last[2::2], last[3::2], strict=True))
    assert given["--command"] == "dino train -e {config_path}"
    assert msgspec.json.decode(given["--specs"]) == REQUEST.spec
    assert msgspec.json.decode(given["--inputs"]) == {"dataset.train[0].image_dir": {}}
    assert msgspec.json.decode(given["--outputs"]) == {"results_dir": {"type": "folder"}}
    assert given["--config-format"] == "yaml"


def test_braces_of_a_command_come_through(cluster: Cluster, driver: KubernetesDriver, tmp_path: Path) -> None:
    command = "cat {config_path}; echo ${NAME}; echo '{x}'"
    driver.start(msgspec.structs.replace(REQUEST, command=command, inputs=(), spec={"epochs": 3}))
    _, container = _only(cluster)
    # What the container would run, but for what is fetched and where it is written.
    script = container["command"][2].replace("pip install", "true").replace("/tmp/_tao", f"{tmp_path}/_tao")
    python = tmp_path / "python"
    python.symlink_to(sys.executable)
    variables = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(sys.path),
        "NAME": "of the job",
        "TAO_JOB_ID": "job-1",
        "TAO_RESULTS_ROOT": str(tmp_path / "results"),
    }
    done = subprocess.run(
        ["bash", "-c", script], env=variables, capture_output=True, text=True, check=True, cwd=tmp_path
    )
    results = f"{tmp_path}/results/job-1/results_dir"
    assert done.stdout == f"epochs: 3\nresults_dir: {results}\nof the job\n{{x}}\n"


def test_several_nodes_find_each_other(cluster: Cluster, driver: KubernetesDriver) -> None:
    driver.start(msgspec.structs.replace(REQUEST, nodes=2))
    job, container = _only(cluster)
    assert (job["spec"]["completions"], job["spec"]["parallelism"]) == (2, 2)
    assert job["spec"]["completionMode"] == "Indexed"
    exported = dict(
        line.removeprefix("export ").split("=", 1)
        for line in container["command"][2].splitlines()
        if line.startswith("export ")
    )
    (service,) = cluster.services
    assert exported["WORLD_SIZE"] == "2"
    assert exported["NUM_GPU_PER_NODE"] == "2"
    assert exported["NODE_RANK"] == "${JOB_COMPLETION_INDEX:-0}"
    assert exported["MASTER_ADDR"].endswith(f".{service}")
    assert exported["MASTER_PORT"] == "29500"


@pytest.mark.parametrize(("said", "state"), [("succeeded", "complete"), ("failed", "error")])
def test_another_porter_sees_how_a_job_ends(
    cluster: Cluster, driver: KubernetesDriver, said: str, state: str
) -> None:
    started = driver.start(REQUEST)
    assert driver.state(started.id) == "running"
    cluster.statuses[next(iter(cluster.jobs))] = said
    other = KubernetesDriver(driver.folder)
    assert other.known() == {started.id: started}
    assert other.state(started.id) == state
    assert other.logs(started.id) == "epoch 1\nepoch 2\n"
    assert other.logs(started.id, tail=1) == "epoch 2\n"


def test_a_cancelled_job_is_gone_and_what_it_printed_is_kept(
    cluster: Cluster, driver: KubernetesDriver
) -> None:
    started = driver.start(REQUEST)
    assert driver.cancel(started.id)
    assert cluster.jobs == {}
    assert driver.state(started.id) == "canceled"
    assert driver.logs(started.id) == "epoch 1\nepoch 2\n"
    assert driver.logs(started.id, tail=1) == "epoch 2\n"


def test_results_are_read_from_the_bucket(driver: KubernetesDriver, bucket: Any) -> None:
    results = driver.start(REQUEST).results
    assert driver.files(results) == ()
    assert driver.read(results, "train/status.json") is None
    prefix = results.removeprefix("s3://runs/")
    for path in ("train/status.json", "train/model.pth"):
        bucket.put_object(Bucket="runs", Key=f"{prefix}/{path}", Body=path.encode())
    bucket.put_object(Bucket="runs", Key=f"{prefix}-of-another/model.pth", Body=b"")
    assert driver.files(results) == ("train/model.pth", "train/status.json")
    assert driver.read(results, "train/model.pth") == b"train/model.pth"


def test_a_bucket_that_does_not_answer_is_told_from_one_without_the_file(
    driver: KubernetesDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("S3_ENDPOINT_URL", "http://127.0.0.1:9")
    assert driver.files("s3://runs/results/1/results_dir") == ()
    with pytest.raises(PorterError, match="S3 does not answer"):
        driver.read("s3://runs/results/1/results_dir", "train/status.json")


def test_without_a_bucket_there_is_no_job(
    cluster: Cluster, driver: KubernetesDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("S3_BUCKET_NAME")
    with pytest.raises(PorterError, match="nowhere to put the results") as caught:
        driver.start(REQUEST)
    assert "S3_BUCKET_NAME" in caught.value.why
    assert cluster.jobs == {}


def test_a_cluster_with_too_few_gpus_gets_no_job(cluster: Cluster, driver: KubernetesDriver) -> None:
    cluster.gpus = 1
    with pytest.raises(PorterError, match="did not take the job") as caught:
        driver.start(REQUEST)
    assert "1 nvidia.com/gpu" in caught.value.why
    assert cluster.jobs == {}
    assert driver.known() == {}


def test_what_the_cluster_says_is_told(cluster: Cluster, driver: KubernetesDriver) -> None:
    cluster.refusal = (403, "jobs.batch is forbidden: very-secret-key may not")
    with pytest.raises(PorterError) as caught:
        driver.start(REQUEST)
    assert caught.value.why == "jobs.batch is forbidden: (not shown) may not"
    assert "kubectl auth" in caught.value.next_step
    assert driver.known() == {}


def test_a_spec_that_no_command_can_carry_is_refused(cluster: Cluster, driver: KubernetesDriver) -> None:
    with pytest.raises(PorterError, match="too long"):
        driver.start(msgspec.structs.replace(REQUEST, spec={"names": "x" * 60_000}))
    assert cluster.jobs == {}


def test_folders_of_this_machine_are_refused(driver: KubernetesDriver, tmp_path: Path) -> None:
    with pytest.raises(PorterError, match="does not see folders"):
        driver.start(msgspec.structs.replace(REQUEST, mounts=(Mount(source=str(tmp_path), target="/data"),)))


def test_a_server_that_does_not_answer_is_told(
    cluster: Cluster, driver: KubernetesDriver, capfd: pytest.CaptureFixture[str]
) -> None:
    cluster.stop()
    with pytest.raises(PorterError, match="Kubernetes cannot be reached") as caught:
        driver.start(REQUEST)
    assert "kubectl" in caught.value.next_step
    assert capfd.readouterr() == ("", "")


def test_no_kubeconfig_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("S3_BUCKET_NAME", "runs")
    with pytest.raises(PorterError, match="Kubernetes cannot be reached") as caught:
        KubernetesDriver(tmp_path / "dino-1").start(REQUEST)
    assert "KUBECONFIG" in str(caught.value)
