"""The checkpoint files that TAO's own loaders read, written as a stream."""

from __future__ import annotations

import hashlib
import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, Any, cast

import torch

from porter.weights.kernel.archive import Layout, SafetensorsArchive, TorchArchive, bytes_of
from porter.weights.kernel.direct import DirectFile
from porter.weights.kernel.files import SPELLING, ModelFolder
from porter.weights.kernel.operations import chunks

_QUEUED = 4
_STRIPPED = ("backbone.", "model.", "ema_")


def safetensors_key(name: str) -> str:
    """Return the key under which TAO's loader finds *name* in a safetensors file.

    Such a file has no tag, so the loader takes it for a public checkpoint, and its parser shortens the
    keys that begin like those of other projects. It takes ``backbone.`` off whatever follows.
    """
    changed = "module" in name or name.startswith(_STRIPPED)
    return f"backbone.{name}" if changed else name


def content_of(plan: Mapping[str, Any], lightning: str) -> dict[str, Any]:
    """Return the mapping to save, its state dict still empty.

    One file serves both loaders: ``tao_model`` makes TAO's weight loader strip the plan's prefix, and
    Lightning's ``load_from_checkpoint`` finds the keys under which its own checkpoints hold the state.
    It holds no ``hyper_parameters``, so it loads with ``weights_only=True``.
    """
    content = {
        "epoch": 0,
        "global_step": 0,
        "pytorch-lightning_version": lightning,
        "state_dict": {},
    }
    # A network that tags no checkpoints refuses one with a tag.
    return {**content, "tao_model": plan["tao_model"]} if plan["tao_model"] else content


def layout_of(plan: Mapping[str, Any]) -> Layout:
    """Return dtype and shape of every tensor of the state dict, those that a class computes last."""
    targets = [step["target"] for step in plan["operations"]] + list(plan["computed"])
    return {each["name"]: (each["dtype"], tuple(each["shape"])) for each in targets}


def write_checkpoint(
    plan: Mapping[str, Any],
    source: ModelFolder,
    computed: Mapping[str, torch.Tensor],
    path: Path,
    safetensors: Path | None = None,
    *,
    lightning: str = "",
    watch: Callable[[], None] = lambda: None,
) -> str:
    """Carry out *plan* into *path*, and the same tensors into *safetensors*; whole or not at all.

    Equal content gives equal bytes.

    Args:
        plan: the weight plan as JSON.
        source: the model folder.
        computed: the tensors of ``plan["computed"]``, from a module that was just built.
        path: the ``.pth`` to write.
        safetensors: the second file, where one is wanted.
        lightning: version of Lightning that will read it; empty to look for it.
        watch: called between tensors.

    Returns:
        the SHA-256 of *path*, 64 hex digits.
    """
    layout = layout_of(plan)
    prefixed = {plan["key_prefix"] + name: entry for name, entry in layout.items()}
    content = content_of(plan, lightning or lightning_version())
    with ExitStack() as stack:
        stack.enter_context(_one_thread())
        handle = stack.enter_context(_hashed(stack.enter_context(_replacing(path))))
        archive = stack.enter_context(TorchArchive(cast(IO[bytes], handle), content, prefixed))
        copy = stack.enter_context(_second(safetensors, layout)) if safetensors else None
        for parts in _tensors(plan, source, computed):
            archive.begin()
            for chunk in parts:
                data = bytes_of(chunk)
                archive.write(data)
                if copy:
                    copy.write(data)
            watch()
    return handle.digest


def lightning_version() -> str:
    """Return the version of Lightning that will read the checkpoint.

    Lightning migrates checkpoints of older versions when it loads them; ours must not look old.
    """
    for name in ("pytorch-lightning", "lightning"):
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return "2.0.0"


def _tensors(
    plan: Mapping[str, Any], source: ModelFolder, computed: Mapping[str, torch.Tensor]
) -> Iterator[Iterator[torch.Tensor]]:
    for step in plan["operations"]:
        yield chunks(step, source)
    for each in plan["computed"]:
        tensor = computed[each["name"]]
        if SPELLING[tensor.dtype] != each["dtype"] or list(tensor.shape) != list(each["shape"]):
            raise ValueError(f"{each['name']} is not what the plan says")
        yield iter([tensor.contiguous().reshape(-1)] if tensor.numel() else [])


@contextmanager
def _one_thread() -> Iterator[None]:
    """Keep torch from sharing small copies out among threads, whose waiting costs more than the copies."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """Give a file to write in place of *path*, which it becomes when the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # One name, so that the remains of a killed run are overwritten by the next.
    partial = path.with_name(f".{path.name}.partial")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def _second(path: Path, layout: Layout) -> Iterator[SafetensorsArchive]:
    plain = {safetensors_key(name): entry for name, entry in layout.items()}
    with _replacing(path) as partial, closing(DirectFile(partial)) as handle:
        yield SafetensorsArchive(cast(IO[bytes], handle), plain)
        handle.sync()


@contextmanager
def _hashed(path: Path) -> Iterator[_Hashed]:
    handle = _Hashed(path)
    try:
        yield handle
        handle.sync()
    finally:
        handle.close()


class _Hashed(DirectFile):
    """A file whose digest is taken by a second thread while it is written."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._queue: queue.Queue[bytes | memoryview | None] = queue.Queue(_QUEUED)
        self._running = hashlib.sha256()
        self._thread = threading.Thread(target=self._hash, daemon=True)
        self._thread.start()
        self.digest = ""

    def write(self, data: Any) -> int:
        self._queue.put(data)
        return super().write(data)

    def sync(self) -> None:
        """Bring everything to the disk and finish the digest."""
        self._queue.put(None)
        super().sync()
        self._thread.join()
        self.digest = self._running.hexdigest()

    def close(self) -> None:
        if not self.closed and self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()
        super().close()

    def _hash(self) -> None:
        while (data := self._queue.get()) is not None:
            self._running.update(data)
