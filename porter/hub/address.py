"""Reads what a person calls a model: a folder, a hub id or a hub URL."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

from porter.errors import UsageError
from porter.records.base import Record

PUBLIC_ENDPOINT = "https://huggingface.co"
_PUBLIC_HOSTS = frozenset({"huggingface.co", "www.huggingface.co", "hf.co"})
_PART = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?"
_ID = re.compile(rf"(?:{_PART}/)?{_PART}")
_OTHER_KINDS = {"datasets": "dataset", "spaces": "Space", "collections": "collection", "papers": "paper"}
_VIEWS = frozenset({"tree", "blob", "resolve", "raw", "commit", "commits", "discussions"})


class Address(Record, frozen=True, kw_only=True):
    """A model's place, not looked up yet.

    Attributes:
        ref: absolute folder, or hub id.
        revision: branch, tag or commit; None for a folder and for the default branch.
    """

    kind: Literal["hub", "folder"]
    ref: str
    revision: str | None = None


def endpoint() -> str:
    """Return the Hub's endpoint: ``$HF_ENDPOINT``, else the public Hub; without a final slash."""
    return (os.environ.get("HF_ENDPOINT") or PUBLIC_ENDPOINT).rstrip("/")


def public_name(url: str) -> str:
    """Return *url* without user name and password, fit for a message."""
    split = urlsplit(url)
    if "@" not in split.netloc:
        return url
    return split._replace(netloc=split.netloc.rpartition("@")[2]).geturl()


def parse(ref: str, revision: str | None = None) -> Address:
    """Return the address that *ref* means; an existing folder goes before a hub id of the same name.

    Raises:
        UsageError: it is none of the three, or it names a revision that contradicts *revision*.
    """
    ref = ref.strip()
    if not ref:
        raise UsageError("No model was given.", next_step="give a hub id, a hub URL or a model folder")
    if "://" in ref:
        return _with_revision(_from_url(ref), revision)
    if _looks_like_path(ref) or Path(ref).exists():
        return _folder(ref, revision)
    if _ID.fullmatch(ref) and "--" not in ref and ".." not in ref:
        return Address(kind="hub", ref=ref, revision=revision)
    identifier, at, wanted = ref.partition("@")
    if at and _ID.fullmatch(identifier):
        raise UsageError(f"{ref!r} is not a hub id.", next_step=f"use {identifier} --revision {wanted}")
    raise UsageError(
        f"{ref!r} is neither an existing folder nor a hub id.",
        why="a hub id is NAME or ORGANISATION/NAME, of letters, digits, '.', '_' and '-'",
        next_step="check the spelling, or give the folder's absolute path",
    )


def _looks_like_path(ref: str) -> bool:
    return ref.startswith(("/", "./", "../", "~")) or ref in {".", ".."} or ref.endswith("/")


def _folder(ref: str, revision: str | None) -> Address:
    folder = Path(ref).expanduser()
    if folder.is_file():
        raise UsageError(
            f"{ref} is a file.",
            why="a model is a folder with config.json and its weights",
            next_step=f"give the folder: {folder.parent}",
        )
    if not folder.is_dir():
        raise UsageError(f"There is no folder {ref}.", next_step="check the path")
    if revision is not None:
        raise UsageError(
            "--revision goes with a model of the Hub, not with a folder.",
            next_step=f"leave --revision out, or check the revision out in {ref}",
        )
    return Address(kind="folder", ref=str(folder.resolve()))


def _from_url(url: str) -> Address:
    split = urlsplit(url)
    if split.scheme == "hf":
        identifier, at, revision = unquote(split.netloc + split.path).strip("/").partition("@")
        identifier = identifier.removeprefix("models/")
        parts = identifier.split("/")
        return Address(kind="hub", ref=_checked_id(parts, url), revision=revision if at else None)
    own = urlsplit(endpoint())
    host = (split.hostname or "").lower()
    mine = host == (own.hostname or "").lower() and split.port == own.port
    netloc = split.netloc.rpartition("@")[2]
    if split.scheme not in {"http", "https"} or not (mine or host in _PUBLIC_HOSTS):
        raise UsageError(
            f"{public_name(url)} is not a URL of the Hub at {public_name(endpoint())}.",
            why="porter talks to one Hub only, so that a token never reaches another host",
            next_step=f"set HF_ENDPOINT={split.scheme}://{netloc} if that host mirrors the Hub",
        )
    path = split.path.removeprefix(own.path) if mine else split.path
    parts = [part for part in path.split("/") if part]
    if parts and parts[0] in _OTHER_KINDS:
        raise UsageError(
            f"{public_name(url)} is a {_OTHER_KINDS[parts[0]]}, not a model.",
            next_step="give the URL of a model",
        )
    if parts and parts[0] == "models":
        parts = parts[1:]
    cut = next((i for i in range(1, len(parts)) if _is_view(parts, i)), len(parts))
    identifier = _checked_id([unquote(part) for part in parts[:cut]], url)
    view, rest = parts[cut : cut + 1], parts[cut + 1 :]
    if not view or not rest or view[0] == "discussions":
        return Address(kind="hub", ref=identifier)
    length = 3 if rest[0] == "refs" else 1
    return Address(kind="hub", ref=identifier, revision=unquote("/".join(rest[:length])))


def _is_view(parts: list[str], index: int) -> bool:
    return parts[index] in _VIEWS and (index == 2 or len(parts) > index + 1)


def _checked_id(parts: list[str], url: str) -> str:
    identifier = "/".join(parts)
    if not _ID.fullmatch(identifier) or "--" in identifier or ".." in identifier:
        raise UsageError(
            f"{public_name(url)} does not name a model.",
            why="after the host comes ORGANISATION/NAME",
            next_step="copy the URL of the model's page",
        )
    return identifier


def _with_revision(address: Address, revision: str | None) -> Address:
    if revision is None or revision == address.revision:
        return address
    if address.revision is not None:
        raise UsageError(
            f"The URL names the revision {address.revision}, and --revision names {revision}.",
            next_step="leave one of them out",
        )
    return Address(kind=address.kind, ref=address.ref, revision=revision)
