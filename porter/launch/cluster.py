"""The Kubernetes cluster that jobs would go to: what kubectl's file says of it, and whether it answers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml

from porter.errors import PorterError
from porter.launch.drivers.base import sdk
from porter.records.platforms import PlatformCheck

SECONDS = 3.0
"""How long a connection may take, a login by another program included."""

_ASK_SECONDS = 2.5
_FILE = "~/.kube/config"
_CONTEXT = "TAO_K8S_CONTEXT"
_IN_POD = "KUBERNETES_SERVICE_HOST"


def configured() -> tuple[PlatformCheck, PlatformCheck]:
    """Return what there is of a file and of a context; the second has found nothing without the first."""
    files = [path for path in _files() if path.is_file()]
    if not files and os.environ.get(_IN_POD):
        return (
            PlatformCheck(name="kubeconfig", ok=True, found="the service account of this pod"),
            PlatformCheck(name="context", ok=True, found="the cluster of this pod"),
        )
    if not files:
        named = "KUBECONFIG names no file that is there" if os.environ.get("KUBECONFIG") else f"no {_FILE}"
        fix = "set KUBECONFIG to the file of your cluster, or write it: aws eks update-kubeconfig, say"
        return (
            PlatformCheck(name="kubeconfig", ok=False, found=named, next_step=fix),
            PlatformCheck(name="context", ok=False, found=""),
        )
    try:
        names, current = _contexts(files)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, yaml.YAMLError) as error:
        broken = f"it cannot be read: {type(error).__name__}"
        return (
            PlatformCheck(name="kubeconfig", ok=False, found=broken, next_step="see kubectl config view"),
            PlatformCheck(name="context", ok=False, found=""),
        )
    good = PlatformCheck(
        name="kubeconfig", ok=True, found="KUBECONFIG" if os.environ.get("KUBECONFIG") else _FILE
    )
    wanted = os.environ.get(_CONTEXT) or current
    if wanted in names:
        return good, PlatformCheck(name="context", ok=True, found=wanted)
    fix = f"kubectl config use-context NAME, or set {_CONTEXT}: {', '.join(names)}"
    found = f"{_CONTEXT} names none that is there" if os.environ.get(_CONTEXT) else "none is chosen"
    return good, PlatformCheck(name="context", ok=False, found=found, next_step=fix)


def ask() -> str:
    """Return the version of the cluster.

    Raises:
        PorterError: it does not answer, or refuses to.
    """
    client, config = sdk("kubernetes.client"), sdk("kubernetes.config")
    settings: Any = client.Configuration()
    settings.retries = False
    try:
        if any(path.is_file() for path in _files()):
            config.load_kube_config(_named(), os.environ.get(_CONTEXT) or None, client_configuration=settings)
        else:
            config.load_incluster_config(client_configuration=settings)
        with client.ApiClient(settings) as api:
            return str(client.VersionApi(api).get_code(_request_timeout=_ASK_SECONDS).git_version)
    except client.ApiException as error:
        raise PorterError(
            "The cluster refuses to answer.",
            why=f"status {error.status}",
            next_step="log in to it: kubectl get pods",
        ) from None
    except Exception as error:
        # What its client says may hold addresses and what another program was called with.
        raise PorterError(
            "The cluster does not answer.",
            why=type(error).__name__,
            next_step="see what it says: kubectl cluster-info",
        ) from None


def _named() -> str:
    return os.environ.get("KUBECONFIG") or _FILE


def _files() -> list[Path]:
    return [Path(name).expanduser() for name in _named().split(os.pathsep) if name]


def _contexts(files: list[Path]) -> tuple[list[str], str]:
    """Return the contexts that files name, and the one that the first of them chooses."""
    names, current = [], ""
    for path in files:
        document = yaml.safe_load(path.read_bytes()) or {}
        names += [str(context["name"]) for context in document.get("contexts") or ()]
        current = current or str(document.get("current-context") or "")
    return names, current
