"""Hostile answers of a Hub: refused by the name of the file, nothing half-written, no token elsewhere."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.corpus.conftest import TOKEN
from tests.corpus.folders import evil_pickle
from tests.hub_server import FIRST_COMMIT, Fault, HubServer
from tests.model_folders import VIT_CONFIG, VIT_PROCESSOR, WEIGHTS
from tests.safetensors_files import build
from tests.test_hub import run

FILES = {
    "config.json": json.dumps(VIT_CONFIG).encode(),
    "preprocessor_config.json": json.dumps(VIT_PROCESSOR).encode(),
    "model.safetensors": WEIGHTS,
}
STORED = r"^/org/model/1+/model"
NAMED = r"/resolve/1+/model"
LOOP = f"/org/model/resolve/{FIRST_COMMIT}/model.safetensors"

Change = Callable[[HubServer, HubServer], None]


def fault(path: str, **what: object) -> Change:
    return lambda server, _other: server.faults.append(Fault(path=path, **what))  # type: ignore[arg-type]


def elsewhere(path: str) -> Change:
    def change(server: HubServer, other: HubServer) -> None:
        other.add("org/model", FILES)
        target = f"{other.endpoint}/org/model/resolve/{FIRST_COMMIT}/model.safetensors"
        server.faults.append(Fault(path=path, redirect=target))

    return change


def files(**changed: bytes) -> Change:
    def change(server: HubServer, _other: HubServer) -> None:
        server.repos["org/model"].files[FIRST_COMMIT].update(
            {name.replace("__", "."): data for name, data in changed.items()}
        )

    return change


ANSWERS: dict[str, tuple[Change, str, str]] = {
    "body cut off": (fault(STORED, cut=0.5), "HubError", "cut off|broke off|interrupted|connection"),
    "body shorter than it says": (fault(STORED, short=True), "HubError", "cut off"),
    "body altered": (fault(STORED, alter=True), "ModelRejectedError|HubError", r"model\.safetensors"),
    "server error": (fault(STORED, status=500), "HubError", "trouble"),
    "too many requests": (fault(NAMED, status=429), "HubError", "too many"),
    "a page in place of a file": (
        fault(STORED, status=200, body=b"<html>login</html>"),
        "ModelRejectedError|HubError",
        r"model\.safetensors",
    ),
    "storage refuses": (fault(STORED, status=403), "HubError", "storage"),
    "redirects without end": (
        lambda server, _: server.faults.append(
            Fault(path=NAMED, redirect=f"{server.endpoint}/org/model{'/x'}")
        ),
        "HubError",
        ".",
    ),
    "a header of 2^62 bytes": (
        files(model__safetensors=(1 << 62).to_bytes(8, "little") + b"{}"),
        "ModelRejectedError",
        r"model\.safetensors",
    ),
    "a pickle named safetensors": (
        files(model__safetensors=evil_pickle() + bytes(64)),
        "ModelRejectedError",
        r"model\.safetensors",
    ),
}


@pytest.fixture
def hub(world: Path) -> Iterator[HubServer]:
    with HubServer() as server:
        server.tokens.add(TOKEN)
        server.add("org/model", FILES, private=True)
        yield server


def weights_of(world: Path) -> list[Path]:
    return [path for path in (world / "work").rglob("model.safetensors") if not path.is_symlink()]


@pytest.mark.parametrize("case", ANSWERS)
def test_a_hostile_answer_is_refused_and_the_next_one_works(case: str, hub: HubServer, world: Path) -> None:
    change, family, words = ANSWERS[case]
    sound = hub.repos["org/model"].files[FIRST_COMMIT].copy()
    with HubServer() as other:
        change(hub, other)
        answers = run(hub, ["resolve", "org/model", None], ["tensors"], ["download"])
    told = answers[-1]
    assert re.fullmatch(family, told.get("error", "accepted"))
    assert re.search(words, f"{told['what']} {told['why']}")
    assert told["next"]
    assert TOKEN not in json.dumps(answers)
    assert weights_of(world) == []
    hub.faults.clear()
    hub.repos["org/model"].files[FIRST_COMMIT] = sound
    good = run(hub, ["resolve", "org/model", None], ["tensors"], ["download"])
    assert "value" in good[-1], good[-1]
    assert [path.read_bytes() for path in weights_of(world)] == [WEIGHTS]


@pytest.mark.parametrize("path", [NAMED, STORED], ids=["of-the-hub", "of-the-storage"])
def test_a_redirect_to_another_host_brings_no_token_there(path: str, hub: HubServer, world: Path) -> None:
    with HubServer() as other:
        elsewhere(path)(hub, other)
        run(hub, ["resolve", "org/model", None], ["tensors"], ["download"])
        assert hub.seen("hub")[0].authorised
        assert other.seen()
        assert not [request for request in other.seen() if request.authorised]


def test_weights_that_change_between_table_and_download_are_refused(hub: HubServer, world: Path) -> None:
    run(hub, ["resolve", "org/model", None], ["tensors"])
    hub.repos["org/model"].files[FIRST_COMMIT]["model.safetensors"] = build({"w": ("F32", (3, 3))})
    told = run(hub, ["resolve", "org/model", FIRST_COMMIT], ["download"])[-1]
    assert told["error"] == "HubError"
    assert "model.safetensors" in told["what"]
    assert weights_of(world) == []
