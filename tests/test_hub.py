from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from porter import hub
from porter.errors import ModelRejectedError, UsageError
from porter.hub import digests
from porter.hub.address import parse
from tests.hub_server import FIRST_COMMIT, SECOND_COMMIT, Fault, HubServer
from tests.safetensors_files import build

CONFIG = b'{"model_type": "vit"}'
CARD = b"---\nlicense: mit\n---\n# A model\n"
WEIGHTS = build({"w": ("F32", (100, 1000)), "b": ("F32", (1000,))})
ONE, OTHER = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
SHARDS = {ONE: build({"a": ("F32", (500, 100))}), OTHER: build({"b": ("F32", (500, 100))})}
INDEX = json.dumps({"weight_map": {"a": ONE, "b": OTHER}}).encode()
TOKEN = "hf_" + "s3cret" * 6

CLIENT = """
import json, sys
from porter import hub
from porter.errors import PorterError
from porter.records.base import from_json, to_json

out = []
source = None
for step in json.load(sys.stdin):
    try:
        if step[0] == "resolve":
            source = hub.resolve(step[1], revision=step[2])
            value = json.loads(to_json(source))
        elif step[0] == "tensors":
            value = [[t.name, list(t.shape), t.file] for t in hub.tensor_table(source)]
        elif step[0] == "contents":
            value = json.loads(to_json(hub.contents(source)))
        elif step[0] == "pickles":
            value = hub.pickles(source)
        elif step[0] == "complete":
            value = hub.is_complete(source)
        elif step[0] == "download":
            told = []
            value = json.loads(to_json(hub.download(source, progress=lambda *row: told.append(row))))
            value["told"] = told
        out.append({"value": value})
    except PorterError as error:
        kind = type(error).__name__
        out.append({"error": kind, "what": error.what, "why": error.why, "next": error.next_step})
        break
print(json.dumps(out))
"""


@pytest.fixture
def server() -> Iterator[HubServer]:
    with HubServer() as running:
        yield running


@pytest.fixture
def porter_cache() -> Path:
    return Path(os.environ["PORTER_CACHE"])


def run(server: HubServer, *steps: list[Any], **variables: str) -> list[dict[str, Any]]:
    """Take *steps* in a process of its own: the Hub's client reads its settings when it is imported."""
    done = subprocess.run(
        [sys.executable, "-c", CLIENT],
        input=json.dumps(steps),
        capture_output=True,
        text=True,
        env={**os.environ, "HF_ENDPOINT": server.endpoint, **variables},
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert TOKEN not in done.stdout + done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert isinstance(found, list)
    return found


def failing(server: HubServer, ref: str = "org/model", revision: str | None = None, **variables: str) -> str:
    """Resolve, expect a HubError, and return its whole text."""
    (answer,) = run(server, ["resolve", ref, revision], **variables)
    assert answer.get("error") == "HubError", answer
    assert answer["next"]
    return " ".join((answer["what"], answer["why"], answer["next"]))


def resolve(ref: str = "org/model", revision: str | None = None) -> list[Any]:
    return ["resolve", ref, revision]


def test_inspection_of_a_hub_model_fetches_no_weights(server: HubServer) -> None:
    server.add(
        "org/model",
        {"config.json": CONFIG, "README.md": CARD, "model.safetensors": WEIGHTS, "notes/a.txt": b"x"},
        pipeline_tag="image-classification",
        tags=["license:mit"],
    )
    source, contents, tensors, complete = (
        row["value"] for row in run(server, resolve(), ["contents"], ["tensors"], ["complete"])
    )
    assert source["kind"] == "hub"
    assert source["sha"] == FIRST_COMMIT
    folder = Path(source["folder"])
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "config.json"]
    assert (folder / "config.json").read_bytes() == CONFIG
    assert not (folder / "config.json").is_symlink()
    assert contents["pipeline_tag"] == "image-classification"
    assert contents["licence"] == "mit"
    assert [file["path"] for file in contents["files"]] == [
        "README.md",
        "config.json",
        "model.safetensors",
        "notes/a.txt",
    ]
    assert tensors == [["b", [1000], "model.safetensors"], ["w", [100, 1000], "model.safetensors"]]
    assert complete is False
    weights = server.seen(method="GET", path="model.safetensors")
    assert weights
    assert all(request.range for request in weights)
    assert sum(request.sent for request in weights) < len(WEIGHTS) / 2


def test_sharded_model_has_one_table(server: HubServer) -> None:
    server.add("org/model", {"config.json": CONFIG, "model.safetensors.index.json": INDEX, **SHARDS})
    _, tensors = run(server, resolve(), ["tensors"])
    assert tensors["value"] == [["a", [500, 100], ONE], ["b", [500, 100], OTHER]]


def test_mirror_that_knows_no_ranges_is_left_after_a_block(server: HubServer) -> None:
    large = build({"w": ("F32", (40_000_000,))})
    server.add("org/model", {"config.json": CONFIG, "model.safetensors": large})
    server.faults.append(Fault(path=r"^/org/model/1+/model", whole=True))
    _, tensors = run(server, resolve(), ["tensors"])
    assert tensors["value"] == [["w", [40_000_000], "model.safetensors"]]
    # What the server had got rid of before it noticed; the rest lies in no buffer of this machine.
    assert server.seen("cdn", "GET")[-1].broken_off


def test_header_that_is_longer_than_the_first_look(server: HubServer) -> None:
    many = build({f"layer.{number:05d}.weight": ("F32", (1,)) for number in range(3000)})
    server.add("org/model", {"config.json": CONFIG, "model.safetensors": many})
    _, tensors = run(server, resolve(), ["tensors"])
    assert len(tensors["value"]) == 3000
    asked = [request.range for request in server.seen("cdn", "GET")]
    assert len(asked) == 2
    assert all(request.sent < len(many) for request in server.seen("cdn", "GET"))


def test_download_brings_plain_checked_files_and_tells_progress(server: HubServer) -> None:
    server.add("org/model", {"config.json": CONFIG, "model.safetensors.index.json": INDEX, **SHARDS})
    server.tokens.add(TOKEN)
    source, before, downloaded, complete = run(
        server, resolve(), ["tensors"], ["download"], ["complete"], HF_TOKEN=TOKEN
    )
    folder = Path(source["value"]["folder"])
    assert complete["value"] is True
    for name, data in SHARDS.items():
        assert (folder / name).read_bytes() == data
        assert not (folder / name).is_symlink()
    told = downloaded["value"].pop("told")
    assert downloaded["value"] == source["value"]
    assert [row for row in told if row[1] == row[2]][-1][0] == OTHER
    assert all(row[1] <= row[2] for row in told)
    after = run(server, resolve(), ["tensors"])
    assert after[1] == before
    assert any(request.authorised for request in server.seen("hub"))
    assert not any(request.authorised for request in server.seen("cdn"))


def test_what_was_fetched_is_not_fetched_again(server: HubServer) -> None:
    server.add("org/model", {"config.json": CONFIG, "model.safetensors": WEIGHTS})
    run(server, resolve(), ["tensors"], ["download"])
    server.requests.clear()
    by_commit = run(server, resolve(revision=FIRST_COMMIT), ["tensors"], ["download"])
    assert "value" in by_commit[-1]
    assert server.requests == []
    run(server, resolve(), ["tensors"], ["download"])
    assert [request.path for request in server.seen("hub", path="/api/models|/resolve/")] == [
        "/api/models/org/model"
    ]


def test_revision_is_pinned_while_the_branch_moves_on(server: HubServer) -> None:
    repo = server.add("org/model", {"config.json": CONFIG, "model.safetensors": WEIGHTS})
    first = run(server, resolve(revision="main"))[0]["value"]
    repo.files[SECOND_COMMIT] = {"config.json": b'{"model_type": "swin"}', "model.safetensors": WEIGHTS}
    repo.refs |= {"main": SECOND_COMMIT, "refs/pr/1": SECOND_COMMIT}
    second = run(server, resolve(revision="main"))[0]["value"]
    assert (first["sha"], second["sha"]) == (FIRST_COMMIT, SECOND_COMMIT)
    assert (Path(first["folder"]) / "config.json").read_bytes() == CONFIG
    assert (Path(second["folder"]) / "config.json").read_bytes() == b'{"model_type": "swin"}'
    pull = run(server, resolve(f"{server.endpoint}/org/model/tree/refs%2Fpr%2F1"), ["tensors"])
    assert pull[0]["value"]["sha"] == SECOND_COMMIT
    assert "value" in pull[1]


def test_renamed_model_is_followed(server: HubServer) -> None:
    server.add("org/new", {"config.json": CONFIG, "model.safetensors": WEIGHTS})
    server.add("org/model", {}, moved_to="org/new")
    answer = run(server, resolve(), ["tensors"])
    assert answer[0]["value"]["ref"] == "org/new"
    assert answer[1]["value"]


def test_rename_is_told(server: HubServer) -> None:
    server.add("org/new", {"config.json": CONFIG})
    server.add("org/model", {}, moved_to="org/new")
    assert run(server, resolve())[0]["value"]["renamed_from"] == "org/model"
    assert "renamed_from" not in {k for k, v in run(server, resolve("org/new"))[0]["value"].items() if v}


@pytest.mark.parametrize(("kind", "word"), [("datasets", "a dataset"), ("spaces", "a Space")])
def test_dataset_or_space_of_that_name(server: HubServer, kind: str, word: str) -> None:
    server.others["org/model"] = kind
    text = failing(server)
    assert f"org/model is {word}" in text
    assert f"{server.endpoint}/{kind}/org/model" in text


def test_missing_model(server: HubServer) -> None:
    assert "org/model" in failing(server)
    assert "private" in failing(server)


def test_private_model_needs_its_token(server: HubServer) -> None:
    server.add("org/model", {"config.json": CONFIG}, private=True)
    server.tokens.add(TOKEN)
    assert "HF_TOKEN" in failing(server)
    assert "value" in run(server, resolve(), HF_TOKEN=TOKEN)[0]


def test_refused_token_says_so_and_is_not_shown(server: HubServer) -> None:
    server.add("org/model", {"config.json": CONFIG})
    assert "refused the token" in failing(server, HF_TOKEN=TOKEN)


def test_gated_model_names_the_page_to_accept(server: HubServer) -> None:
    server.add("org/model", {"config.json": CONFIG}, gated=True)
    text = failing(server)
    assert "gated" in text
    assert f"{server.endpoint}/org/model" in text


def test_missing_revision(server: HubServer) -> None:
    server.add("org/model", {"config.json": CONFIG})
    assert "no revision 'nope'" in failing(server, revision="nope")


@pytest.mark.parametrize(("status", "words"), [(403, "may not read"), (429, "too many"), (503, "503")])
def test_status_of_the_hub_is_told(server: HubServer, status: int, words: str) -> None:
    server.faults.append(Fault(path="/api/models", status=status))
    assert words in failing(server)


def test_server_that_is_no_hub(server: HubServer) -> None:
    server.faults.append(Fault(path="/api/models", status=200, body=b"<html>log in</html>"))
    assert "does not speak" in failing(server)
    server.faults[0] = Fault(path="/api/models", status=200, body=b'{"id": "org/model"}')
    assert "does not speak" in failing(server)


def test_unreachable_endpoint_without_its_password(server: HubServer) -> None:
    text = failing(server, HF_ENDPOINT="http://user:hunter2@127.0.0.1:9")
    assert "127.0.0.1:9 cannot be reached" in text
    assert "unset HF_ENDPOINT" in text
    assert "hunter2" not in text


def test_connection_that_breaks_off(server: HubServer) -> None:
    server.add("org/model", {"config.json": CONFIG * 1000})
    server.faults.append(Fault(path="/api/models", cut=0.5))
    assert "cannot be reached" in failing(server)


def test_offline_without_the_model(server: HubServer) -> None:
    assert "HF_HUB_OFFLINE" in failing(server, HF_HUB_OFFLINE="1")
    assert server.requests == []


def test_offline_with_what_porter_fetched(server: HubServer) -> None:
    server.add("org/model", {"config.json": CONFIG, "model.safetensors": WEIGHTS})
    online = run(server, resolve(), ["tensors"], ["download"])
    server.requests.clear()
    offline = run(server, resolve(), ["tensors"], ["download"], ["complete"], HF_HUB_OFFLINE="1")
    assert offline[0] == online[0]
    assert offline[1] == online[1]
    assert offline[3]["value"] is True
    assert server.requests == []


def test_offline_with_what_the_hubs_client_fetched(server: HubServer, porter_cache: Path) -> None:
    server.add("org/model", {"config.json": CONFIG, "model.safetensors": WEIGHTS, "big.bin": b"x"})
    fetch = (
        "import huggingface_hub as h; h.snapshot_download('org/model', allow_patterns=['*.json', 'model*'])"
    )
    env = {**os.environ, "HF_ENDPOINT": server.endpoint}
    subprocess.run([sys.executable, "-c", fetch], check=True, env=env, capture_output=True)
    assert not (porter_cache / "models").exists()
    offline = run(server, resolve(), ["tensors"], ["complete"], HF_HUB_OFFLINE="1")
    assert offline[0]["value"]["sha"] == FIRST_COMMIT
    assert [row[0] for row in offline[1]["value"]] == ["b", "w"]
    assert offline[2]["value"] is True


def test_altered_weights_are_refused_and_fetched_anew(server: HubServer) -> None:
    server.add("org/model", {"config.json": CONFIG, "model.safetensors": WEIGHTS})
    server.faults.append(Fault(path=r"^/org/model/1+/model.safetensors$", alter=True, times=1))
    source, answer = run(server, resolve(), ["download"])
    assert "arrived broken" in answer["what"]
    assert not (Path(source["value"]["folder"]) / "model.safetensors").exists()
    assert "value" in run(server, resolve(), ["download"])[1]
    assert (Path(source["value"]["folder"]) / "model.safetensors").read_bytes() == WEIGHTS


def ranges(server: HubServer) -> list[str]:
    return [request.range for request in server.seen("cdn", "GET", "model.safetensors")]


def test_cut_download_goes_on_where_it_stopped_in_a_later_run(server: HubServer) -> None:
    # Larger than the 10 MiB in which the client writes.
    whole = build({"w": ("F32", (6_000_000,))})
    server.add("org/model", {"config.json": CONFIG, "model.safetensors": whole})
    weights = r"^/org/model/1+/model.safetensors$"
    server.faults += [Fault(path=weights, cut=0.5, times=1), Fault(path=weights, status=500)]
    source, answer = run(server, resolve(), ["download"])
    assert answer["error"] == "HubError"
    assert "what was fetched is kept" in answer["next"]
    folder = Path(source["value"]["folder"])
    assert not (folder / "model.safetensors").exists()
    server.faults.clear()
    server.requests.clear()
    done = run(server, resolve(), ["download"])[1]["value"]
    (asked,) = ranges(server)
    kept = int(asked.removeprefix("bytes=").removesuffix("-"))
    assert kept >= 10 * 2**20
    assert sum(request.sent for request in server.seen("cdn")) == len(whole) - kept
    assert (folder / "model.safetensors").read_bytes() == whole
    assert done["told"][0][1] >= kept
    assert done["told"][-1][1:] == [len(whole), len(whole)]


def test_what_is_left_of_another_file_does_not_survive(server: HubServer) -> None:
    server.add("org/model", {"config.json": CONFIG, "model.safetensors": WEIGHTS})
    source = run(server, resolve())[0]["value"]
    partial = Path(source["folder"]).parent / "partial" / "model.safetensors"
    partial.parent.mkdir()
    for left, error in ((b"x" * 1000, "arrived broken"), (b"x" * 10**6, "")):
        partial.write_bytes(left)
        answer = run(server, resolve(), ["download"])[1]
        assert error in answer.get("what", ""), answer
        assert not partial.exists()
    assert (Path(source["folder"]) / "model.safetensors").read_bytes() == WEIGHTS


def test_stalled_download_goes_on_by_itself(server: HubServer) -> None:
    whole = build({"w": ("F32", (6_000_000,))})
    server.add("org/model", {"config.json": CONFIG, "model.safetensors": whole})
    server.faults.append(Fault(path=r"^/org/model/1+/model.safetensors$", stall=4, times=1))
    source, answer = run(server, resolve(), ["download"], HF_HUB_DOWNLOAD_TIMEOUT="1")
    assert "value" in answer
    assert (Path(source["value"]["folder"]) / "model.safetensors").read_bytes() == whole
    assert len(ranges(server)) == 2
    assert ranges(server)[1].startswith("bytes=")


@pytest.mark.parametrize("step", ["tensors", "download"])
def test_body_that_is_shorter_than_it_was_said_to_be(server: HubServer, step: str) -> None:
    server.add("org/model", {"config.json": CONFIG, "model.safetensors": WEIGHTS})
    server.faults.append(Fault(path=r"^/org/model/1+/model", short=True))
    answer = run(server, resolve(), [step])[1]
    assert answer["error"] == "HubError"
    assert "was cut off" in answer["what"]
    server.faults.clear()
    assert "value" in run(server, resolve(), [step])[1]


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        (r"^/org/model/1+/model", 403, "storage behind"),
        (r"^/org/model/1+/model", 503, "trouble"),
        (r"/resolve/1+/model", 401, "refused the token"),
        (r"/resolve/1+/model", 403, "may not read"),
        (r"/resolve/1+/model", 404, "vanished|refused to hand out"),
        (r"/resolve/1+/model", 429, "too many"),
        (r"/resolve/1+/model", 500, "trouble"),
    ],
)
def test_status_while_weights_are_fetched(server: HubServer, path: str, status: int, words: str) -> None:
    server.add("org/model", {"config.json": CONFIG, "model.safetensors": WEIGHTS})
    server.faults.append(Fault(path=path, status=status))
    source, answer = run(server, resolve(), ["download"])
    assert answer["error"] == "HubError"
    assert re.search(words, answer["what"] + answer["why"])
    assert answer["next"]
    assert not (Path(source["value"]["folder"]) / "model.safetensors").exists()


def test_weights_that_change_after_they_were_listed(server: HubServer) -> None:
    repo = server.add("org/model", {"config.json": CONFIG, "model.safetensors": WEIGHTS})
    run(server, resolve(), ["tensors"])
    repo.files[FIRST_COMMIT]["model.safetensors"] = build({"w": ("F32", (3, 3))})
    answer = run(server, resolve(revision=FIRST_COMMIT), ["download"])[1]
    assert answer["error"] == "HubError"
    assert "is not the file that was listed" in answer["what"]
    assert server.seen("cdn", "GET", "model.safetensors")[1:] == []


def test_weights_in_the_clients_cache_are_not_fetched_again(server: HubServer) -> None:
    server.add("org/model", {"config.json": CONFIG, "model.safetensors": WEIGHTS})
    fetch = "import huggingface_hub as h; h.snapshot_download('org/model')"
    env = {**os.environ, "HF_ENDPOINT": server.endpoint}
    subprocess.run([sys.executable, "-c", fetch], check=True, env=env, capture_output=True)
    server.requests.clear()
    source, answer = run(server, resolve(), ["download"])
    assert "value" in answer
    assert server.seen("cdn") == []
    assert (Path(source["value"]["folder"]) / "model.safetensors").read_bytes() == WEIGHTS


def test_broken_header_on_the_hub_rejects_the_model(server: HubServer) -> None:
    bad = b"\xff" * 200
    short = WEIGHTS[: len(WEIGHTS) // 2]
    for data, words in ((bad, "not a valid"), (short, "cut off")):
        server.add("org/model", {"config.json": CONFIG, "model.safetensors": data})
        answer = run(server, resolve(), ["tensors"])[1]
        assert answer["error"] == "ModelRejectedError"
        assert words in answer["what"]


PICKLES = ("pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin")
PICKLE_INDEX = json.dumps({"weight_map": {"a": PICKLES[0], "b": PICKLES[1]}}).encode()


def test_pickles_stay_on_the_hub_until_they_are_asked_for(server: HubServer) -> None:
    files = {"config.json": CONFIG, "pytorch_model.bin.index.json": PICKLE_INDEX, "x.bin": b"x"}
    server.add("org/model", {**files, **{name: name.encode() for name in PICKLES}})
    source, names, tensors, before, _, after = run(
        server, resolve(), ["pickles"], ["tensors"], ["complete"], ["download"], ["complete"]
    )
    assert names["value"] == list(PICKLES)
    assert tensors["value"] == []
    assert (before["value"], after["value"]) == (False, True)
    folder = Path(source["value"]["folder"])
    assert {path.name for path in folder.glob("*.bin")} == set(PICKLES)
    assert all((folder / name).read_bytes() == name.encode() for name in PICKLES)


def test_looking_at_pickles_fetches_none(server: HubServer) -> None:
    server.add("org/model", {"config.json": CONFIG, "pytorch_model.bin": b"x" * 1000})
    assert run(server, resolve(), ["pickles"], ["tensors"], ["complete"])[1]["value"] == ["pytorch_model.bin"]
    assert server.seen(path=r"\.bin") == []


def test_safetensors_go_before_pickles(server: HubServer) -> None:
    extra = {"pytorch_model.bin": b"x", "pytorch_model.bin.index.json": b"{"}
    server.add("org/model", {"config.json": CONFIG, "model.safetensors": WEIGHTS, **extra})
    source, names, tensors, _ = run(server, resolve(), ["pickles"], ["tensors"], ["download"])
    assert names["value"] == []
    assert [row[0] for row in tensors["value"]] == ["b", "w"]
    assert not (Path(source["value"]["folder"]) / "pytorch_model.bin").exists()
    assert server.seen(path=r"pytorch_model") == []


def test_shard_that_the_index_names_and_the_hub_lacks(server: HubServer) -> None:
    server.add("org/model", {"config.json": CONFIG, "model.safetensors.index.json": INDEX, ONE: SHARDS[ONE]})
    answer = run(server, resolve(), ["tensors"])[1]
    assert answer["error"] == "ModelRejectedError"
    assert OTHER in answer["what"]


def local(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_bytes(CONFIG)
    (folder / "model.safetensors").write_bytes(WEIGHTS)
    (folder / "training.log").write_text("x")
    return folder


def test_folder_is_pinned_by_what_porter_reads(tmp_path: Path) -> None:
    folder = local(tmp_path / "model")
    first = hub.resolve(str(folder))
    assert (first.kind, first.ref, first.folder) == ("folder", str(folder), str(folder))
    assert hub.is_complete(first)
    assert [tensor.name for tensor in hub.tensor_table(first)] == ["b", "w"]
    (folder / "training.log").write_text("y")
    assert hub.resolve(str(folder)) == first
    stat = (folder / "model.safetensors").stat()
    (folder / "model.safetensors").write_bytes(WEIGHTS[:-1] + b"\x01")
    os.utime(folder / "model.safetensors", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert hub.resolve(str(folder)).sha != first.sha


def test_digest_is_remembered_once_a_file_has_settled(
    tmp_path: Path, porter_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = local(tmp_path / "model")
    first = hub.resolve(str(folder))
    assert not (porter_cache / "digests.json").exists()
    monkeypatch.setattr(digests, "_SETTLED_NS", -(10**12))
    assert hub.resolve(str(folder)) == first
    known = json.loads((porter_cache / "digests.json").read_text())
    assert len(known) == 2
    (porter_cache / "digests.json").write_text(json.dumps(dict.fromkeys(known, "0" * 64)))
    assert hub.resolve(str(folder)).sha != first.sha
    (porter_cache / "digests.json").write_text("broken")
    assert hub.resolve(str(folder)) == first


def test_remembered_digest_does_not_survive_a_change_that_hides_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digests, "_SETTLED_NS", -(10**12))
    folder = local(tmp_path / "model")
    weights = folder / "model.safetensors"
    old = 1_600_000_000_000_000_000
    os.utime(weights, ns=(old, old))
    shas = {hub.resolve(str(folder)).sha}
    for byte in range(3):
        time.sleep(0.05)
        weights.write_bytes(WEIGHTS[:-1] + bytes([byte + 1]))
        os.utime(weights, ns=(old, old))
        shas.add(hub.resolve(str(folder)).sha)
    assert len(shas) == 4


def test_links_out_of_a_folder_become_files(tmp_path: Path, porter_cache: Path) -> None:
    blobs = local(tmp_path / "blobs")
    snapshot = tmp_path / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    for name in ("config.json", "model.safetensors"):
        (snapshot / name).symlink_to(blobs / name)
    source = hub.resolve(str(snapshot))
    assert source.ref == str(snapshot)
    assert Path(source.folder).is_relative_to(porter_cache)
    assert (Path(source.folder) / "model.safetensors").read_bytes() == WEIGHTS
    assert not (Path(source.folder) / "model.safetensors").is_symlink()
    assert source.sha == hub.resolve(str(blobs)).sha


def test_weights_for_their_owner_alone_are_shown_to_the_sandbox_of_root(tmp_path: Path) -> None:
    folder = local(tmp_path / "model")
    (folder / "model.safetensors").chmod(0o600)
    source = hub.resolve(str(folder))
    shown = Path(source.folder) / "model.safetensors"
    assert shown.read_bytes() == WEIGHTS
    assert (folder / "model.safetensors").stat().st_mode & 0o777 == 0o600
    if os.geteuid() == 0:
        assert shown.stat().st_mode & 0o777 == 0o644
    else:
        assert source.folder == str(folder)


def test_broken_index_in_a_folder(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(CONFIG)
    (tmp_path / "model.safetensors.index.json").write_text("{")
    with pytest.raises(ModelRejectedError, match=r"index\.json is not valid"):
        hub.resolve(str(tmp_path))


ADDRESSES = {
    "vit": ("vit", None),
    "org/name.v-1_a": ("org/name.v-1_a", None),
    "https://huggingface.co/org/name": ("org/name", None),
    "https://huggingface.co/org/name/": ("org/name", None),
    "https://huggingface.co/gpt2": ("gpt2", None),
    "https://huggingface.co/models/org/name": ("org/name", None),
    "https://huggingface.co/org/name/tree/main": ("org/name", "main"),
    "https://huggingface.co/org/name/tree/main/sub/folder": ("org/name", "main"),
    "https://huggingface.co/org/name/blob/v1.0/config.json?x=1#l": ("org/name", "v1.0"),
    "https://huggingface.co/org/name/resolve/refs%2Fpr%2F3/config.json": ("org/name", "refs/pr/3"),
    "https://huggingface.co/org/name/tree/refs/pr/3": ("org/name", "refs/pr/3"),
    "https://huggingface.co/org/name/commit/abc123": ("org/name", "abc123"),
    "https://huggingface.co/org/name/discussions/4": ("org/name", None),
    "https://huggingface.co/org/tree": ("org/tree", None),
    "https://hf.co/org/name": ("org/name", None),
    "https://mirror.example/hub/org/name/tree/dev": ("org/name", "dev"),
    "hf://org/name@v2": ("org/name", "v2"),
}


@pytest.mark.parametrize("ref", ADDRESSES)
def test_ids_and_urls(ref: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "https://mirror.example/hub/")
    address = parse(ref)
    assert (address.kind, address.ref, address.revision) == ("hub", *ADDRESSES[ref])


@pytest.mark.parametrize(
    ("ref", "words"),
    [
        ("", "No model"),
        ("org/name/extra", "neither"),
        ("org name", "neither"),
        ("org/na--me", "neither"),
        ("../up", "no folder"),
        ("/nowhere/at/all", "no folder"),
        ("org/name@v1", "--revision v1"),
        ("https://huggingface.co/", "does not name a model"),
        ("https://huggingface.co/datasets/org/name", "dataset"),
        ("https://huggingface.co/spaces/org/name", "Space"),
        ("https://evil.example/org/name", "not a URL of the Hub"),
        ("https://user:hunter2@evil.example:8443/org/name", "HF_ENDPOINT=https://evil.example:8443"),
        ("ftp://huggingface.co/org/name", "not a URL of the Hub"),
    ],
)
def test_what_is_no_model(ref: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(ref)
    assert words in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_file_or_revision_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    with pytest.raises(UsageError, match="is a file"):
        parse(str(tmp_path / "a"))
    with pytest.raises(UsageError, match="--revision goes with"):
        parse(str(tmp_path), "main")


def test_two_revisions(tmp_path: Path) -> None:
    url = "https://huggingface.co/org/name/tree/main"
    assert parse(url, "main").revision == "main"
    with pytest.raises(UsageError, match="leave one of them out"):
        parse(url, "v1")


def test_existing_folder_goes_before_a_hub_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "org" / "name").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert parse("org/name").kind == "folder"
    assert parse("org/other").kind == "hub"
