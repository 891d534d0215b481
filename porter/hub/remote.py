"""A model on the Hub, read through huggingface_hub alone.

What porter fetched lies in its cache under ``models/<id>/<sha>``: the model's files as plain
files in ``model/``, the listing in ``contents.json``, the tensor table in ``tensors.json``. A
commit never changes, so neither does any of it.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from porter.atomic import write_atomic
from porter.cache import locked
from porter.errors import ModelRejectedError, PorterError
from porter.hub import explain, files, transfer
from porter.hub.address import Address, public_name
from porter.hub.transfer import Progress
from porter.records.base import from_json, to_json
from porter.records.inspection import Contents, ModelFile, Source, TensorInfo
from porter.safetensors import (
    INDEX_FILE,
    SINGLE_FILE,
    header_length,
    join,
    parse_header,
    parse_index,
    tensors,
)

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_LISTING = "contents.json"
_PARTIAL_LISTING = "contents-offline.json"
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SECONDS = 30
_HEADERS_AT_ONCE = 8
_FIRST_LOOK = 100_000
"""Bytes of a weights file that are read first; most headers are shorter."""


def open_remote(address: Address, cache: Path, endpoint: str) -> Source:
    """Pin a model of the Hub and fetch what describes it, without its weights.

    A commit that was fetched before needs no network.

    Raises:
        HubError: the Hub or the way to it said no.
        ModelRejectedError: what the Hub holds there cannot be a model.
    """
    if address.revision and _COMMIT.fullmatch(address.revision):
        known = _known(address.ref, address, store(cache, address.ref) / address.revision)
        if known:
            return known
    from huggingface_hub.constants import HF_HUB_OFFLINE

    if HF_HUB_OFFLINE:
        return _open_offline(address, cache, endpoint)
    info = _model_info(address, endpoint)
    place = store(cache, info.id) / info.sha
    source, contents = _source(info.id, address, place), _contents(info)
    _fetch_describing(source, contents, endpoint)
    write_atomic(place / _LISTING, to_json(contents))
    _remember(cache, address, endpoint, source)
    return source


def read_contents(source: Source) -> Contents:
    """Return the listing of a source that :func:`open_remote` pinned."""
    place = Path(source.folder).parent
    listing = place / _LISTING
    return from_json((listing if listing.exists() else place / _PARTIAL_LISTING).read_bytes(), Contents)


def read_headers(source: Source, contents: Contents, endpoint: str) -> tuple[TensorInfo, ...]:
    """Return the tensor table by range requests of the headers alone; empty without weights.

    Raises:
        HubError: the Hub or the way to it said no.
        ModelRejectedError: a header breaks the format.
    """
    stored = Path(source.folder).parent / "tensors.json"
    if stored.exists():
        return from_json(stored.read_bytes(), tuple[TensorInfo, ...])
    listed = {file.path: file for file in contents.files}
    index = Path(source.folder) / INDEX_FILE
    if SINGLE_FILE in listed:
        table = _read_header(source, listed[SINGLE_FILE], endpoint)
    elif index.exists():
        placed = parse_index(files.read_small(index))
        there = sorted(set(placed.values()) & set(listed))
        with ThreadPoolExecutor(_HEADERS_AT_ONCE) as pool:
            read = pool.map(lambda name: _read_header(source, listed[name], endpoint), there)
            table = join(placed, dict(zip(there, read, strict=True)))
    else:
        return ()
    write_atomic(stored, to_json(table))
    return table


def fetch_weights(source: Source, contents: Contents, endpoint: str, progress: Progress | None) -> None:
    """Fetch the weights of *source* into its folder and check them against the Hub's SHA-256.

    Raises:
        HubError: the Hub or the way to it said no, or a file arrived broken.
    """
    listed = {file.path: file for file in contents.files}
    folder = Path(source.folder)
    names = weight_names(source, contents)
    for name in names:
        if (folder / name).exists():
            continue
        if name not in listed:
            raise ModelRejectedError(
                f"{source.ref} is incomplete: {name} is named by its index and not there.",
                next_step="choose another revision with --revision",
            )
        _fetch_large(source, listed[name], endpoint, progress)


def weight_names(source: Source, contents: Contents) -> tuple[str, ...]:
    """Return the names of the weight files of *source*, fetched or not."""
    names = {file.path for file in contents.files}
    if SINGLE_FILE in names:
        return (SINGLE_FILE,)
    folder = Path(source.folder)
    return files.weights(folder) or files.pickles(folder, names)


def store(cache: Path, ref: str) -> Path:
    """Return where porter keeps a model of the Hub: a folder with one folder for each commit."""
    return cache / "models" / ref.replace("/", "--")


def _source(ref: str, address: Address, place: Path) -> Source:
    return Source(
        kind="hub",
        ref=ref,
        revision=address.revision,
        sha=place.name,
        folder=str(place / "model"),
        renamed_from=address.ref if ref.lower() != address.ref.lower() else "",
    )


def _known(ref: str, address: Address, place: Path) -> Source | None:
    return _source(ref, address, place) if (place / _LISTING).exists() else None


def _api(endpoint: str) -> HfApi:
    from huggingface_hub import HfApi
    from huggingface_hub.utils.tqdm import disable_progress_bars

    from porter import __version__

    disable_progress_bars()
    return HfApi(endpoint=endpoint, library_name="hf-tao-porter", library_version=__version__)


@contextlib.contextmanager
def _told(address: Address, endpoint: str) -> Iterator[None]:
    try:
        yield
    except PorterError:
        raise
    except Exception as error:
        told = explain.explain(error, address, endpoint)
        if told is None:
            raise
        raise told from None


def _model_info(address: Address, endpoint: str) -> Any:
    from huggingface_hub.errors import RepositoryNotFoundError

    with _told(address, endpoint):
        try:
            info = _api(endpoint).model_info(
                address.ref, revision=address.revision, files_metadata=True, timeout=_SECONDS
            )
        except RepositoryNotFoundError as error:
            kind = _other_kind(address, endpoint)
            raise (explain.not_a_model(address, endpoint, kind) if kind else error) from None
        except (ValueError, TypeError, KeyError) as error:
            if explain.explain(error, address, endpoint):
                raise
            raise explain.not_a_hub(public_name(endpoint)) from None
    if not isinstance(info.id, str) or not _COMMIT.fullmatch(str(info.sha)):
        raise explain.not_a_hub(public_name(endpoint))
    return info


def _other_kind(address: Address, endpoint: str) -> str:
    """Return what else the Hub has under the name; empty where it has nothing, or does not say."""
    for kind in ("dataset", "space"):
        with contextlib.suppress(Exception):
            _api(endpoint).repo_info(address.ref, repo_type=kind, timeout=_SECONDS)
            return kind
    return ""


def _contents(info: Any) -> Contents:
    found = []
    for sibling in info.siblings or ():
        lfs = sibling.lfs
        size = lfs.size if lfs is not None else sibling.size
        sha256 = lfs.sha256 if lfs is not None else ""
        found.append(ModelFile(path=sibling.rfilename, size=size or 0, sha256=sha256 or ""))
    licences = [tag.partition(":")[2] for tag in info.tags or () if tag.startswith("license:")]
    return Contents(
        files=tuple(sorted(found, key=lambda file: file.path)),
        pipeline_tag=info.pipeline_tag or "",
        licence=licences[0] if licences else "",
    )


def _fetch_describing(source: Source, contents: Contents, endpoint: str) -> None:
    listed = {file.path: file for file in contents.files}
    for name in files.describing(listed):
        if listed[name].size > files.MAX_DESCRIBING_BYTES:
            raise ModelRejectedError(
                f"{name} of {source.ref} has {listed[name].size} bytes.",
                why=f"porter reads up to {files.MAX_DESCRIBING_BYTES} bytes of it",
                next_step="check that this is the right model",
            )
        if not (Path(source.folder) / name).exists():
            _fetch(source, listed[name], endpoint)


def _fetch(source: Source, file: ModelFile, endpoint: str) -> None:
    from huggingface_hub import hf_hub_download

    with _told(_address(source), endpoint):
        _api(endpoint)
        path = Path(hf_hub_download(source.ref, file.path, revision=source.sha, endpoint=endpoint))
        files.adopt(path, Path(source.folder) / file.path)


def _fetch_large(source: Source, file: ModelFile, endpoint: str, progress: Progress | None) -> None:
    target = Path(source.folder) / file.path
    partial = Path(source.folder).parent / "partial" / file.path
    partial.parent.mkdir(parents=True, exist_ok=True)

    def waiting(_line: str) -> None:
        if progress:
            progress(file.path, 0, file.size)

    with _told(_address(source), endpoint), locked(partial, "fetching", waiting):
        if target.exists():
            return
        cached = transfer.from_cache(source, file)
        if cached:
            files.adopt(cached, target)
        else:
            with _cut_off(source, file):
                transfer.fetch(source, file, partial, endpoint, progress)
            target.parent.mkdir(parents=True, exist_ok=True)
            partial.chmod(0o644)
            partial.replace(target)
    if progress:
        progress(file.path, file.size, file.size)


def _address(source: Source) -> Address:
    return Address(kind="hub", ref=source.ref, revision=source.revision)


def _read_header(source: Source, file: ModelFile, endpoint: str) -> tuple[TensorInfo, ...]:
    with _told(_address(source), endpoint), _cut_off(source, file):
        read = transfer.start(source, file, _FIRST_LOOK, endpoint)
        end = 8 + header_length(read[:8], file.path)
        if len(read) < end <= file.size:
            read = transfer.start(source, file, end, endpoint)
    if len(read) < end:
        raise _too_short(source, file, end)
    entries = parse_header(read[8:end], file.path)
    data = max((entry.end for entry in entries.values()), default=0)
    if end + data > file.size:
        raise _too_short(source, file, end + data)
    return tensors(entries, file.path, data_bytes=file.size - end)


def _too_short(source: Source, file: ModelFile, end: int) -> ModelRejectedError:
    return ModelRejectedError(
        f"{file.path} of {source.ref} is cut off.",
        why=f"its header describes {end} bytes, and the file has {file.size}",
        next_step="choose another revision with --revision",
    )


@contextlib.contextmanager
def _cut_off(source: Source, file: ModelFile) -> Iterator[None]:
    """Name what the client says of a body that ends early without a word: a bare OSError."""
    try:
        yield
    except OSError as error:
        if type(error) is OSError and error.errno is None:
            raise explain.cut_off(source.ref, file.path) from None
        raise


def _refs(cache: Path) -> dict[str, Any]:
    try:
        stored = json.loads((cache / "models" / "refs.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stored if isinstance(stored, dict) else {}


def _ref_key(address: Address, endpoint: str) -> str:
    return f"{public_name(endpoint)} {address.ref} {address.revision or ''}"


def _remember(cache: Path, address: Address, endpoint: str, source: Source) -> None:
    from filelock import FileLock

    with FileLock(cache / "models" / "refs.lock"):
        refs = {**_refs(cache), _ref_key(address, endpoint): [source.ref, source.sha]}
        write_atomic(cache / "models" / "refs.json", json.dumps(refs, indent=0, sort_keys=True).encode())


def _open_offline(address: Address, cache: Path, endpoint: str) -> Source:
    if address.revision and (store(cache, address.ref) / address.revision / _PARTIAL_LISTING).exists():
        return _source(address.ref, address, store(cache, address.ref) / address.revision)
    match _refs(cache).get(_ref_key(address, endpoint)):
        case [str(ref), str(sha)]:
            known = _known(ref, address, store(cache, ref) / sha)
            if known:
                return known
    return _from_client_cache(address, cache)


def _from_client_cache(address: Address, cache: Path) -> Source:
    """Take over what the Hub's own client has in its cache, as far as it goes."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        snapshot = Path(snapshot_download(address.ref, revision=address.revision, local_files_only=True))
    except LocalEntryNotFoundError as error:
        # A cache that holds some of the files only is what porter itself leaves there.
        partial = getattr(error, "snapshot_path", None)
        if partial is None:
            raise explain.offline(address) from None
        snapshot = Path(partial)
    if not (snapshot / files.CONFIG).exists():
        raise explain.offline(address)
    place = store(cache, address.ref) / snapshot.name
    source = _source(address.ref, address, place)
    listed = tuple(
        ModelFile(path=path.relative_to(snapshot).as_posix(), size=path.stat().st_size)
        for path in sorted(snapshot.rglob("*"))
        if path.is_file()
    )
    names = files.describing(file.path for file in listed)
    weights = files.weights(snapshot) or files.pickles(snapshot, {file.path for file in listed})
    for name in (*names, *weights):
        if (snapshot / name).exists() and not (Path(source.folder) / name).exists():
            files.adopt(snapshot / name, Path(source.folder) / name)
    # A name of its own: what the client's cache holds may be less than the commit has.
    write_atomic(place / _PARTIAL_LISTING, to_json(Contents(files=listed)))
    return source
