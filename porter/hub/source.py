"""The few calls that the rest of porter makes about a model's files."""

from __future__ import annotations

from pathlib import Path

from porter import cache as porter_cache
from porter import safetensors
from porter.hub import address as addresses
from porter.hub import files, folder, remote
from porter.hub.transfer import Progress
from porter.records.inspection import Contents, Source, TensorInfo


def resolve(ref: str, *, revision: str | None = None, cache: Path | None = None) -> Source:
    """Pin a model and make what describes it readable in one folder; weights of the Hub stay there.

    Args:
        ref: hub id, hub URL or folder.
        revision: branch, tag or commit of the Hub.
        cache: porter's cache; by default the user's.

    Raises:
        UsageError: *ref* is nothing of the kind.
        HubError: the Hub, or the network on the way to it, said no.
        ModelRejectedError: the files cannot be read.
    """
    cache = cache or porter_cache.root()
    address = addresses.parse(ref, revision)
    if address.kind == "folder":
        return folder.open_folder(address.ref, cache)
    return remote.open_remote(address, cache, addresses.endpoint())


def store(cache: Path, ref: str, sha: str) -> Path:
    """Return where porter keeps a commit of a model of the Hub, there or not."""
    return remote.store(cache, ref) / sha


def contents(source: Source) -> Contents:
    """Return what *source* holds, the files that are not on this machine included."""
    if source.kind == "hub":
        return remote.read_contents(source)
    return folder.list_folder(Path(source.folder))


def is_complete(source: Source) -> bool:
    """Return whether the weights lie in the source's folder."""
    where = Path(source.folder)
    names = (
        remote.weight_names(source, contents(source))
        if source.kind == "hub"
        else files.weights(where) or pickles(source)
    )
    return bool(names) and all((where / name).exists() for name in names)


def pickles(source: Source) -> tuple[str, ...]:
    """Return the names of the pickles that are the only weights of *source*; empty where it has safetensors.

    Raises:
        ModelRejectedError: their index is broken.
    """
    return files.pickles(Path(source.folder), {file.path for file in contents(source).files})


def tensor_table(source: Source) -> tuple[TensorInfo, ...]:
    """Return every tensor of the weights, sorted by name, without fetching them; empty without safetensors.

    Raises:
        HubError: the Hub, or the network on the way to it, said no.
        ModelRejectedError: a weights file is missing or breaks the format.
    """
    where = Path(source.folder)
    if pickles(source):
        return ()
    if source.kind == "folder" or is_complete(source):
        return safetensors.read_folder(where) if files.weights(where) else ()
    return remote.read_headers(source, contents(source), addresses.endpoint())


def download(source: Source, *, progress: Progress | None = None) -> Source:
    """Fetch the weights into the source's folder, checked; does nothing where they are.

    Args:
        source: as :func:`resolve` returned it.
        progress: told about each file: its name, bytes here, bytes in all.

    Raises:
        HubError: the Hub, or the network on the way to it, said no.
        ModelRejectedError: the repository lacks a file that its index names.
    """
    if source.kind == "hub" and not is_complete(source):
        remote.fetch_weights(source, contents(source), addresses.endpoint(), progress)
    return source
