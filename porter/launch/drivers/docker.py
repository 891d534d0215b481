"""Jobs in containers of this machine's Docker engine, or of one that answers like it."""

from __future__ import annotations

import os
import secrets
from collections import Counter
from pathlib import Path
from typing import Any

from porter.atomic import write_atomic
from porter.errors import PorterError
from porter.launch.drivers import base
from porter.launch.drivers.containers import ContainerDriver
from porter.records.jobs import RESULTS, JobRequest
from porter.records.training import Mount

_RESULTS = "/results"
_SPECS = "/specs"
_LOCAL = ("unix://", "/")


class DockerDriver(ContainerDriver):
    """Runs each job in a container that stays after it, for its state and for what it has printed.

    Nothing is fetched for that: what NVIDIA's entrypoint would install from the network only brings data from
    afar, and here that is mounted. Results of a job lie in ``results/<id>`` of the run, with its own copy of
    the spec: TAO's launcher writes to that.
    """

    title = "Docker"
    module = "docker"
    sdk_class = "DockerSDK"
    reach = "docker info; DOCKER_HOST names another socket (podman system service offers one)"
    start_hint = "docker images shows what can be run; --image NAME names another one"
    mounts = True
    inputs = False

    def read(self, results: str, path: str) -> bytes | None:
        """Return a file of the results."""
        return base.read_local(Path(results), path)

    def files(self, results: str) -> tuple[str, ...]:
        """Return the files of the results."""
        return base.list_local(Path(results))

    def _refuse(self, request: JobRequest) -> None:
        super()._refuse(request)
        for mount in (*request.mounts, Mount(source=str(self.folder), target=_RESULTS)):
            if ":" in mount.source:
                raise PorterError(
                    f"Docker cannot mount {mount.source}.",
                    why="a colon ends the path there",
                    next_step="give the folder another name",
                )
            if not Path(mount.source).is_dir():
                raise PorterError(
                    f"{mount.source} is no folder.", why="the job reads it", next_step="put it back"
                )

    def _arguments(self, request: JobRequest) -> dict[str, Any]:
        specs, results = self.folder / "specs", self.folder / "results"
        results.mkdir(exist_ok=True)
        name = f"{request.name}-{secrets.token_hex(4)}.yaml"
        write_atomic(specs / name, _yaml(request.spec).encode(), mode=0o644)
        given = [_mount(str(specs), _SPECS), *(_mount(m.source, m.target) for m in request.mounts)]
        return {
            "command": _command(request.command, f"{_SPECS}/{name}"),
            "mounts": [*_distinct(given), {"source": str(results), "target": _RESULTS}],
            "run_as_user": self._run_as_user(),
        }

    def _results(self, row: dict[str, Any]) -> str:
        return f"{row['local_results_dir']}/{RESULTS}"

    def _began(self, sdk: Any, job: str) -> bool:
        # The SDK notes a job before it asks for the container. Where porter was killed in between there is
        # none, and it would be pending for ever: on this machine nothing comes late.
        sdk.get_job_status(job)
        noted = base.sdk("tao_sdk.artifacts").artifact_metadata(sdk.get_job(job))
        return not noted.get("runtime_identity", {}).get("launch_uncertain")

    def _environment(self) -> dict[str, str]:
        # Every engine has this network; the SDK would make one of its own and leave it behind.
        return {"DOCKER_NETWORK": "bridge"}

    def _state_of_handler(self) -> Path:
        return self._own / "docker.json"

    def _new(self) -> Any:
        host = os.environ.get("DOCKER_HOST", "")
        if host and not host.startswith(_LOCAL):
            raise PorterError(
                "Docker of another machine runs no jobs.",
                why=f"DOCKER_HOST is {host}, where the folders of this machine are not",
                next_step="unset DOCKER_HOST, or run porter there",
            )
        return super()._new()

    def _prepare(self, sdk: Any) -> None:
        """Give Podman an identity: it answers each time with another one, and the SDK would trust none."""
        client = _client()
        version = client.version()
        names = [part.get("Name", "") for part in version.get("Components") or []]
        if any("Podman" in name for name in names):
            where = f"{os.environ.get('DOCKER_HOST', '')} of {client.info().get('Name', '')}"
            sdk._handler.get_backend_identity = lambda: f"podman: {where}"

    def _run_as_user(self) -> bool | None:
        """Return whether the container's user is set to the caller; False leaves it to the image.

        The image's root is the caller where the caller is root, or where the engine runs as the caller. The
        SDK refuses to map users then.
        """
        options = _client().info()
        rootless = options.get("Rootless") or any(
            "rootless" in str(option) for option in options.get("SecurityOptions") or []
        )
        return False if os.getuid() == 0 or rootless else None


def _client() -> Any:
    docker = base.sdk("docker")
    host = os.environ.get("DOCKER_HOST")
    return docker.DockerClient(base_url=host) if host else docker.from_env()


def _command(command: str, spec: str) -> str:
    """Return what the container's shell runs: a copy of the spec, with the path of the results, then the job.

    The SDK gives a job its id only when it starts it, so that the path is known only there.
    """
    job = f"{_RESULTS}/$TAO_JOB_ID"
    return "\n".join(
        (
            "set -e",
            f"mkdir -p {job}/{RESULTS}",
            f'{{ cat {spec}; echo "{RESULTS}: {job}/{RESULTS}"; }} > {job}/spec.yaml',
            command.replace("{config_path}", f"{job}/spec.yaml"),
        )
    )


def _yaml(spec: dict[str, Any]) -> str:
    import yaml

    # A line is added to it, and `{}` takes none.
    return yaml.safe_dump(spec, sort_keys=False) if spec else ""


def _mount(source: str, target: str) -> dict[str, Any]:
    return {"source": source, "target": target, "read_only": True}


def _distinct(mounts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return mounts with sources that read differently: the SDK keeps one target for each source."""
    seen: Counter[str] = Counter()
    made = []
    for mount in mounts:
        source = mount["source"].rstrip("/") or "/"
        made.append({**mount, "source": source + "/." * seen[source]})
        seen[source] += 1
    return made
