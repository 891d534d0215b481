"""The container engine that jobs of the docker platform run on: Docker, or Podman by Docker's interface."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from porter import secrets, tao_images
from porter.errors import PorterError, SandboxError
from porter.launch.drivers.base import sdk

VARIABLE = "DOCKER_HOST"
DEFAULT = Path("/var/run/docker.sock")
SECONDS = 10.0
"""How long an engine may take to answer a question about itself; a busy Podman needs some."""

_REGISTRY_SECONDS = 60
_NVIDIA = "nvcr.io"
_LIBPOD = "v4.0.0/libpod"


def connect(seconds: float = SECONDS) -> Any:
    """Return a client of the engine that the SDK would take, which has answered.

    Raises:
        SandboxError: there is none, or it does not answer; says what would help.
        PorterError: the client is not installed.
    """
    docker = sdk("docker")
    requests = sdk("requests")
    host = os.environ.get(VARIABLE)
    try:
        return docker.DockerClient(base_url=host or f"unix://{DEFAULT}", timeout=seconds)
    except (docker.errors.DockerException, requests.RequestException, ValueError) as error:
        # The words of the client may hold the address as it was typed.
        why = _why(error)
        where = f"the engine that {VARIABLE} names" if host else f"Docker at {DEFAULT}"
        raise SandboxError(
            f"{where[0].upper()}{where[1:]} does not answer.", why=why, next_step=_way_in(why)
        ) from None


def gives_gpus(client: Any) -> bool:
    """Return whether the engine says that it can show GPUs to containers."""
    info = client.info()
    devices = info.get("DiscoveredDevices") or ()
    return "nvidia" in (info.get("Runtimes") or {}) or any(
        str(device.get("ID", "")).startswith("nvidia.com/gpu") for device in devices
    )


def is_podman(client: Any) -> bool:
    """Return whether Podman answers in Docker's place."""
    parts = client.version().get("Components") or ()
    return any("Podman" in str(part.get("Name", "")) for part in parts)


def find_image(image: str) -> str:
    """Return where an image is: ``here``, or ``registry``; empty where Podman could not say so.

    Nothing is pulled.

    Args:
        image: its reference.

    Raises:
        PorterError: it is neither, or the engine does not answer.
    """
    docker, requests = sdk("docker"), sdk("requests")
    client = connect(_REGISTRY_SECONDS)
    try:
        with contextlib.suppress(docker.errors.NotFound):
            client.images.get(image)
            return "here"
        if is_podman(client):
            return _ask_podman(client, image)
        client.images.get_registry_data(image, auth_config=_login(image))
    except docker.errors.APIError as error:
        raise _absent(image, str(error.explanation or error)) from None
    except (docker.errors.DockerException, requests.RequestException) as error:
        raise _absent(image, type(error).__name__) from None
    return "registry"


def _ask_podman(client: Any, image: str) -> str:
    """Ask with Podman's own interface: it does not have Docker's for registries."""
    # It takes no key along, so that a refusal says nothing of a pull that has one.
    answer = client.api.get(
        f"{client.api.base_url}/{_LIBPOD}/manifests/{image}/json", timeout=_REGISTRY_SECONDS
    )
    if answer.status_code == 200:
        return "registry"
    said = answer.text
    if answer.headers.get("content-type", "").startswith("application/json"):
        said = str(answer.json().get("message") or said)
    cause, _ = tao_images.explain(said)
    if "key" in cause:
        return ""
    raise _absent(image, said)


def _login(image: str) -> dict[str, str] | None:
    """Return what is given to NVIDIA's registry; for others the engine's own logins are taken."""
    key = secrets.registry_key()
    if tao_images.registry_of(image) != _NVIDIA or not key:
        return None
    return {"username": tao_images.USER, "password": key}


def _absent(image: str, said: str) -> PorterError:
    cause, _ = tao_images.explain(said)
    registry = tao_images.registry_of(image)
    ways = ["--image REF takes another one"]
    if registry:
        ways.append(
            f"docker login {registry}" + (f", or set {secrets.REGISTRY}" if registry == _NVIDIA else "")
        )
    return PorterError(
        f"The image {image} is not on this machine, and cannot be had{f': {cause}' if cause else ''}.",
        why=said.strip().splitlines()[-1] if said.strip() else "",
        next_step="; ".join(ways),
    )


def _why(error: BaseException) -> str:
    for kind, said in (
        (FileNotFoundError, "there is no such socket"),
        (PermissionError, "you may not use it"),
        (ConnectionRefusedError, "nobody listens there"),
        (TimeoutError, "it took too long"),
    ):
        if any(isinstance(one, kind) for one in _causes(error)):
            return said
    return "it cannot be reached"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, what it came of, and what those hold: urllib3 keeps the system's own as an argument."""
    seen: list[BaseException] = []
    waiting = [error]
    while waiting:
        one = waiting.pop()
        if one in seen:
            continue
        seen.append(one)
        yield one
        waiting += [
            more for more in (one.__cause__, one.__context__, *one.args) if isinstance(more, BaseException)
        ]


def _way_in(why: str) -> str:
    if "may not" in why:
        return "add yourself to its group: sudo usermod -aG docker $USER, then log in again"
    socket = next((path for path in _podman_sockets() if _is_socket(path)), None)
    if socket is not None:
        return f"export {VARIABLE}=unix://{socket}"
    if shutil.which("podman"):
        path = _podman_sockets()[0]
        return f"podman system service --time=0 unix://{path} & export {VARIABLE}=unix://{path}"
    return f"start Docker: sudo systemctl start docker; or set {VARIABLE} to where one answers"


def _podman_sockets() -> tuple[Path, ...]:
    own = Path(os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}") / "podman" / "podman.sock"
    system = Path("/run/podman/podman.sock")
    return (system, own) if os.getuid() == 0 else (own, system)


def _is_socket(path: Path) -> bool:
    try:
        return stat.S_ISSOCK(path.stat().st_mode)
    except OSError:
        return False
