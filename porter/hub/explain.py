"""Turns what the Hub's client raises into errors that say what to do; no token ever enters a message."""

from __future__ import annotations

import errno
from typing import Any
from urllib.parse import urlsplit

from porter.errors import HubError
from porter.hub.address import PUBLIC_ENDPOINT, Address, public_name

_NETWORK_PACKAGES = frozenset({"httpx", "httpx2", "httpcore", "httpcore2", "requests", "urllib3"})
_LOGIN = "set HF_TOKEN, or run: hf auth login"


def explain(error: BaseException, address: Address, endpoint: str) -> HubError | None:
    """Return the user's view of *error*; None where it is none of the Hub's or the network's.

    Only fixed words, the address, status codes and system error texts enter the message.
    """
    from huggingface_hub import errors

    name, hub = address.ref, public_name(endpoint)
    cause = error.__cause__
    if isinstance(error, errors.LocalEntryNotFoundError) and cause is not None:
        return explain(cause, address, endpoint) or unreachable(hub)
    if isinstance(error, errors.LocalEntryNotFoundError | errors.OfflineModeIsEnabled):
        return offline(address)
    if isinstance(error, errors.GatedRepoError):
        return HubError(
            f"{name} is gated: its authors ask you to accept their terms first.",
            next_step=f"open {hub}/{name} while logged in, accept the terms, then {_LOGIN}",
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return HubError(
            f"{name} has no revision {address.revision or 'main'!r}.",
            next_step=f"pick one from {hub}/{name}/commits, or leave --revision out",
        )
    if isinstance(error, errors.DisabledRepoError):
        return HubError(
            f"{name} has been disabled on the Hub.", next_step="choose another model, or ask its authors"
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return HubError(
            f"{hub} has no model {name}, or it is private.",
            why="the Hub answers alike for both",
            next_step=f"check the spelling; for a private model {_LOGIN}",
        )
    if isinstance(error, errors.EntryNotFoundError):
        return HubError(
            f"A file of {name} vanished while it was read.",
            why="the repository changed, or the mirror is incomplete",
            next_step="try again; with a mirror, unset HF_ENDPOINT",
        )
    if isinstance(error, errors.HfHubHTTPError):
        return _status(error.response.status_code, name, hub, _storage(error, endpoint))
    if isinstance(error, errors.FileMetadataError):
        return not_a_hub(hub)
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return HubError(
            f"The disk is full; {name} could not be saved.",
            next_step="free some space, or set PORTER_CACHE and HF_HOME to another disk",
        )
    package = type(error).__module__.partition(".")[0]
    if package in _NETWORK_PACKAGES or isinstance(error, ConnectionError | TimeoutError):
        return unreachable(hub, type(error).__name__)
    return None


def offline(address: Address) -> HubError:
    """Return the error of a model that is wanted offline and was never fetched."""
    at = f" at {address.revision}" if address.revision else ""
    return HubError(
        f"{address.ref}{at} is not on this machine, and HF_HUB_OFFLINE is set.",
        next_step="unset HF_HUB_OFFLINE once to fetch it, or give a model folder",
    )


def unreachable(hub: str, reason: str = "") -> HubError:
    """Return the error of a Hub that cannot be reached."""
    return HubError(
        f"{hub} cannot be reached.",
        why=f"the connection failed ({reason})" if reason else "",
        next_step="check the network and the proxy variables, or give a model folder"
        if hub == PUBLIC_ENDPOINT
        else f"check the network and the proxy variables, unset HF_ENDPOINT to ask {PUBLIC_ENDPOINT} in "
        "place of this mirror, or give a model folder",
    )


def cut_off(name: str, file: str) -> HubError:
    """Return the error of a body that ended early."""
    return HubError(
        f"{file} of {name} was cut off.",
        why="the connection ended before the file did",
        next_step="repeat the command; it goes on where this one stopped",
    )


def not_a_model(address: Address, endpoint: str, kind: str) -> HubError:
    """Return the error of a name that is a dataset's or a Space's."""
    called = {"dataset": "a dataset", "space": "a Space"}[kind]
    return HubError(
        f"{address.ref} is {called} on the Hub, not a model.",
        next_step=f"open {public_name(endpoint)}/{kind}s/{address.ref} and look for the model that it names",
    )


def not_a_hub(hub: str) -> HubError:
    """Return the error of a server that answers, but not as a Hub does."""
    return HubError(
        f"{hub} does not speak the Hub's API.",
        why="something answers there, such as a login page, a proxy or an incomplete mirror",
        next_step="check HF_ENDPOINT and the proxy variables",
    )


def _storage(error: Any, endpoint: str) -> str:
    """Return the host that answered where it is not the Hub itself but the storage that it points to."""
    host = str(getattr(error.response.request.url, "host", "") or urlsplit(str(error.response.url)).hostname)
    port = urlsplit(str(error.response.url)).port
    own = urlsplit(endpoint)
    return "" if (host, port) == (own.hostname, own.port) else host


def _status(status: int, name: str, hub: str, storage: str) -> HubError:
    if storage and status not in {429} and status < 500:
        return HubError(
            f"The storage behind {hub} refused a file of {name} (status {status}).",
            why="addresses of its files expire, and some networks block the storage alone",
            next_step=f"repeat the command; if it stays, allow {storage} in the proxy or firewall",
        )
    if status == 401:
        return HubError(
            f"{hub} refused the token that is set for it.",
            next_step="set HF_TOKEN to a valid token, or run: hf auth login (hf auth logout to go without)",
        )
    if status == 403:
        return HubError(
            f"The token that is set may not read {name}.",
            next_step="give the token read access to this repository, or set another HF_TOKEN",
        )
    if status == 429:
        return HubError(
            f"{hub} answers too many requests (429).",
            next_step="wait a few minutes and repeat the command; what was fetched is kept. With a token the "
            f"limit is higher: {_LOGIN}",
        )
    if status >= 500:
        return HubError(
            f"{hub} has trouble of its own (status {status}).",
            next_step="repeat the command later; what was fetched is kept",
        )
    return HubError(f"{hub} refused to hand out {name} (status {status}).", next_step="open it in a browser")
