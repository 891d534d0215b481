"""NVIDIA's images: fetched by name, stripped of TAO's own packages, tagged, and asked what they hold."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from porter import secrets
from porter.errors import HubError, SandboxError
from porter.records.base import digest, from_json
from porter.records.images import Prepared
from porter.records.sandbox import Engine, Environment, Limits
from porter.resources import tree
from porter.sandbox import engines, images
from porter.sandbox.process import execute

TAGS = {
    "tao-pytorch": "tao-pytorch-base:latest",
    "tao-deploy": "tao-deploy-base:latest",
    "tao-dataservices": "tao-dataservices-base:latest",
}
"""What a prepared image is called, by repository."""

LABEL = "porter.source"
USER = "$oauthtoken"
"""The user that goes with a key of NVIDIA's registry."""

_LOGIN_SECONDS = 60
_PULL = Limits(seconds=4 * 3600)
_ASK_SECONDS = 300
_ASKED = """
import importlib.metadata, importlib.util, json, sys
names = "torch torchvision tensorrt transformers timm onnx onnxruntime pytorch-lightning nvidia-tao-core"
versions = {}
for name in names.split():
    try:
        versions[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        pass
packages = ("nvidia_tao_pytorch", "nvidia_tao_deploy", "nvidia_tao_ds")
print(json.dumps({
    "python": sys.executable,
    "versions": versions,
    "left": [name for name in packages if importlib.util.find_spec(name)],
    "removed": json.load(open("/opt/porter/removed.json")),
}))
"""
_CAUSES: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (
        ("unauthorized", "authentication required", "access denied", "denied:", "401", "403"),
        "the registry refuses the key, or none is set",
        f"set {secrets.REGISTRY} to a key that may read it",
    ),
    (("manifest unknown", "not found", "404"), "the registry has no such image", "check name and tag"),
    (
        ("no such host", "connection refused", "timeout", "network is unreachable", "dial tcp", "TLS"),
        "the registry cannot be reached",
        "check the network, then repeat the command",
    ),
    (("no space left",), "the engine's disk is full", "free some space where the engine keeps its images"),
    (
        ("no matching manifest", "no image found in image index for architecture", "exec format error"),
        "the image is of another processor architecture",
        "name the image for this machine's architecture",
    ),
)

Progress = Callable[[str], None]


def explain(said: str) -> tuple[str, str]:
    """Return the likely cause of a failed pull, and what to do; from the engine's own words."""
    for words, cause, fix in _CAUSES:
        if any(word.lower() in said.lower() for word in words):
            return cause, fix
    return "", "see what the engine says; pull it by hand to find out more"


def registry_of(reference: str) -> str:
    """Return the registry's host of an image reference; empty where it is one of this machine."""
    first, slash, _ = reference.partition("/")
    if not slash:
        return "docker.io"
    if first == "localhost":
        return ""
    return first if "." in first or ":" in first else "docker.io"


def identity(engine: Engine, reference: str) -> tuple[str, str] | None:
    """Return the id and the digest of an image that the engine has; None where it has not."""
    done = engines.call(engine, ["image", "inspect", reference])
    if done.returncode:
        return None
    facts = json.loads(done.stdout)[0]
    digests = facts.get("RepoDigests") or []
    # Podman names an image that was never in a registry after its id.
    return str(facts["Id"]), str(digests[0]).rpartition("@")[2] if digests else str(facts["Id"])


def pull(
    engine: Engine, reference: str, log: Path, progress: Progress = lambda _line: None
) -> tuple[str, str]:
    """Return id and digest of an image, fetched where the engine does not have it.

    A key of NVIDIA's registry is used where one is set, from a file that lives as long as the pull.

    Raises:
        HubError: it cannot be had; says why and what to do.
    """
    there = identity(engine, reference)
    if there is not None:
        return there
    with _login(engine, registry_of(reference)) as options:
        argv = [engine.executable, *options.before, "pull", *options.after, reference]
        ended = execute(argv, log, _PULL, progress, variables=engines.client_variables(os.environ))
    there = identity(engine, reference)
    if ended.code == 0 and there is not None:
        return there
    said = log.read_text(encoding="utf-8", errors="replace").strip()
    cause, fix = explain(said)
    last = said.splitlines()[-1] if said else f"exit code {ended.code}"
    raise HubError(
        f"The image {reference} cannot be pulled{f': {cause}' if cause else ''}.", why=last, next_step=fix
    )


def prepare(
    engine: Engine, repo: str, reference: str, folder: Path, progress: Progress = lambda _line: None
) -> Prepared:
    """Return the prepared image of a repository, made of *reference* where it is not there yet.

    Args:
        engine: docker or podman.
        repo: such as ``tao-pytorch``.
        reference: NVIDIA's image.
        folder: for logs.
        progress: told each line that the engine prints.

    Raises:
        HubError: the image cannot be pulled.
        SandboxError: it cannot be stripped, or the tag belongs to somebody else.
    """
    folder.mkdir(parents=True, exist_ok=True)
    image, source = pull(engine, reference, folder / f"pull-{repo}.txt", progress)
    tag = TAGS[repo]
    made_of = _label(engine, tag)
    if made_of is None:
        raise SandboxError(
            f"There is an image {tag} that porter did not make.",
            why="it has no label that says what it was made of",
            next_step=f"give it another name: {engine.name} tag {tag} NAME && {engine.name} rmi {tag}",
        )
    if made_of != source:
        context = tree("containers") / "prepare"
        options = [
            f"--build-arg=SOURCE={image}",
            f"--label={LABEL}={source}",
            f"--file={context / 'Containerfile'}",
        ]
        images.build(engine, tag, options, context, folder / f"prepare-{repo}.txt", progress)
    return _ask(engine, repo, reference, source)


def environment(prepared: Prepared, *, gpu: bool) -> Environment:
    """Return a prepared image as the environment of a repository's runs."""
    return Environment(
        name=prepared.tag,
        prefix="",
        python=prepared.python,
        digest=digest({"image": prepared.image, "gpu": gpu}),
        versions=prepared.versions,
        image=prepared.tag,
        baked=True,
        gpu=gpu,
    )


class _Options:
    """Where a client's options go: Docker's before the command, Podman's after it."""

    def __init__(self, before: Sequence[str] = (), after: Sequence[str] = ()) -> None:
        self.before, self.after = tuple(before), tuple(after)


@contextlib.contextmanager
def _login(engine: Engine, host: str) -> Iterator[_Options]:
    """Log in for one pull, beside whatever login the user has; nothing of it is left afterwards."""
    key = secrets.registry_key()
    if not key or not host or host == "docker.io":
        yield _Options()
        return
    folder = Path(tempfile.mkdtemp(prefix="porter-login-"))
    try:
        if engine.name == "docker":
            options = _Options(before=[f"--config={folder}"])
        else:
            options = _Options(after=[f"--authfile={folder / 'auth.json'}"])
        words = [*options.before, "login", *options.after, "--username", USER, "--password-stdin", host]
        done = engines.call(engine, words, seconds=_LOGIN_SECONDS, given=key.encode())
        if done.returncode:
            said = engines.said(done).replace(key, "***")
            cause, fix = explain(said)
            raise HubError(
                f"The login at {host} failed{f': {cause}' if cause else ''}.", why=said, next_step=fix
            )
        yield options
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _label(engine: Engine, tag: str) -> str | None:
    """Return what a tag's image was made of: empty where there is none, None where it does not say."""
    done = engines.call(engine, ["image", "inspect", tag])
    if done.returncode:
        return ""
    config = json.loads(done.stdout)[0].get("Config") or {}
    found = (config.get("Labels") or {}).get(LABEL)
    return str(found) if found else None


def _ask(engine: Engine, repo: str, reference: str, source: str) -> Prepared:
    tag = TAGS[repo]
    argv = ["run", "--rm", "--pull=never", "--network=none", "--entrypoint=python3", tag, "-c", _ASKED]
    done = engines.call(engine, argv, seconds=_ASK_SECONDS)
    there = identity(engine, tag)
    lines = done.stdout.decode(errors="replace").strip().splitlines()
    if done.returncode or not lines or there is None:
        raise SandboxError(f"The image {tag} does not answer.", why=engines.said(done))
    answer = json.loads(lines[-1])
    if answer["left"]:
        raise SandboxError(
            f"The image {tag} still holds {', '.join(answer['left'])}.",
            why="the clones' code would not be the only one",
            next_step=f"{engine.name} rmi {tag}, then repeat the command",
        )
    return from_json(
        json.dumps(
            {
                "repo": repo,
                "reference": reference,
                "digest": source,
                "tag": tag,
                "image": there[0],
                "python": answer["python"],
                "removed": [f"{name} {version}" for name, version in sorted(answer["removed"].items())],
                "versions": answer["versions"],
            }
        ).encode(),
        Prepared,
    )
