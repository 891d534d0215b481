"""What a plan lists is brought into a run's folder, from a real S3 server, real archives and a local NGC."""

from __future__ import annotations

import errno
import io
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import moto.s3.models
import pytest

from porter.errors import DataError, PorterError
from porter.launch import ngc, sources, staging
from porter.launch.bucket import Bucket, has_keys
from porter.records.training import Mount, Staged
from porter.ui import Ui
from tests.launch import s3
from tests.launch.fields import coco, pack
from tests.launch.s3 import ACCESS, SECRET, Store
from tests.launch.test_unpack import files

IMAGES = "staged/train/images"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    yield from s3.serve()


@pytest.fixture
def store(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Store:
    return s3.emptied(endpoint, monkeypatch)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "runs" / "dino-1"
    folder.mkdir(parents=True)
    return folder


def ui() -> Ui:
    return Ui(quiet=True)


def one(source: str | Path, target: str = IMAGES, *, unpack: bool = False) -> tuple[Staged, ...]:
    return (Staged(source=str(source), target=target, unpack=unpack),)


def stage(staged: tuple[Staged, ...], run: Path) -> dict[str, bytes]:
    """Stage; return what is there, and see that nothing else is left."""
    staging.stage(staged, run, ui())
    assert {path.name for path in run.iterdir()} <= {"staged", "staged.json", "staged.lock"}
    return files(run / "staged")


@pytest.mark.parametrize("entry", ["*", "images/*"])
@pytest.mark.parametrize("target", [IMAGES, f"/{IMAGES}"])
def test_a_local_archive_becomes_a_folder(tmp_path: Path, run: Path, entry: str, target: str) -> None:
    archive = coco(tmp_path / "d", archive=entry) / "images.tar.gz"
    there = stage(one(archive, target, unpack=True), run)
    assert there == {f"train/images/{number}.jpg": b"x" for number in range(3)}


def test_a_local_folder_and_a_file_are_copied(tmp_path: Path, run: Path) -> None:
    folder = coco(tmp_path / "d", images=1)
    wanted = (
        *one(folder / "images"),
        *one(folder / "annotations.json", "staged/train/annotations.json"),
    )
    there = stage(wanted, run)
    assert there["train/images/0.jpg"] == b"x"
    assert there["train/annotations.json"] == (folder / "annotations.json").read_bytes()


@pytest.mark.parametrize("ending", [".tar.gz", ".zip"])
def test_an_archive_of_s3_becomes_a_folder(tmp_path: Path, run: Path, store: Store, ending: str) -> None:
    path = tmp_path / f"images{ending}"
    if ending == ".zip":
        with zipfile.ZipFile(path, "w") as made:
            made.writestr("images/cat/a.jpg", b"x")
    else:
        pack(path, ["images/cat/a.jpg"])
    uri = store.put(f"d/images{ending}", path.read_bytes())
    assert stage(one(uri, unpack=True), run) == {"train/images/cat/a.jpg": b"x"}


def test_a_file_and_a_folder_of_s3_are_fetched(run: Path, store: Store) -> None:
    store.put("d/images/", b"")
    store.put("d/images/cat/a.jpg", b"a")
    store.put("d/images/dog/b.jpg", b"b")
    store.put("d/images_more/c.jpg", b"c")
    weights = store.put("weights/x.pth", os.urandom(100_000))
    wanted = (*one("s3://bucket/d/images"), *one(weights, "staged/weights/x.pth"))
    there = stage(wanted, run)
    assert set(there) == {"train/images/cat/a.jpg", "train/images/dog/b.jpg", "weights/x.pth"}
    assert len(there["weights/x.pth"]) == 100_000


def test_a_folder_stands_in_for_an_archive_that_s3_does_not_have(run: Path, store: Store) -> None:
    store.put("d/images/a.jpg", b"a")
    uri = "s3://bucket/d/images.tar.gz"
    assert stage(one(uri, unpack=True), run) == {"train/images/a.jpg": b"a"}


def test_a_whole_bucket_is_a_folder(run: Path, store: Store) -> None:
    store.put("a.jpg", b"a")
    assert stage(one("s3://bucket", "staged/train"), run) == {"train/a.jpg": b"a"}


def test_more_objects_than_a_page_lists_are_found(store: Store) -> None:
    bucket = moto.s3.models.s3_backends["123456789012"]["aws"]
    for number in range(1003):
        bucket.put_object("bucket", f"d/images/{number}.jpg", b"a")
    assert len({item.path for item in Bucket("s3://bucket/d/images").below()}) == 1003


def test_what_lies_in_a_folder_that_is_staged_too_comes_after_it(
    tmp_path: Path, run: Path, store: Store
) -> None:
    store.put("d/dataset.csv", b"1")
    store.put("d/images.tar.gz", pack(tmp_path / "images.tar.gz", ["a.jpg"]).read_bytes())
    wanted = (
        *one("s3://bucket/d/images.tar.gz", unpack=True),
        *one("s3://bucket/d", "staged/train"),
    )
    first = stage(wanted, run)
    assert set(first) == {"train/dataset.csv", "train/images.tar.gz", "train/images/a.jpg"}
    store.put("d/dataset.csv", b"2")
    assert stage(wanted, run) == first | {"train/dataset.csv": b"2"}


def test_a_second_staging_leaves_what_is_there(tmp_path: Path, run: Path, store: Store) -> None:
    archive = coco(tmp_path / "d", archive="*") / "images.tar.gz"
    uri = store.put("d/images.tar.gz", archive.read_bytes())
    for source, target in ((archive, "staged/a/images"), (uri, "staged/b/images")):
        wanted = one(source, target, unpack=True)
        stage(wanted, run)
        before = (run / target).stat().st_ino
        # Something that staging did not put there shows whether the folder was made anew.
        (run / target / "mine.txt").write_text("mine")
        stage(wanted, run)
        assert (run / target).stat().st_ino == before
        assert (run / target / "mine.txt").exists()


def test_a_changed_source_is_staged_again(tmp_path: Path, run: Path, store: Store) -> None:
    archive = pack(tmp_path / "images.tar.gz", ["old.jpg"])
    uri = store.put("d/images.tar.gz", archive.read_bytes())
    wanted = (*one(archive, "staged/a/images", unpack=True), *one(uri, "staged/b/images", unpack=True))
    stage(wanted, run)
    os.utime(pack(archive, ["new.jpg"]), (1, 1))
    store.put("d/images.tar.gz", archive.read_bytes())
    assert set(stage(wanted, run)) == {"a/images/new.jpg", "b/images/new.jpg"}
    store.put("d/images.zip", b"")
    (run / "staged" / "b" / "images" / "new.jpg").unlink()
    (run / "staged" / "b" / "images").rmdir()
    assert set(stage(wanted, run)) == {"a/images/new.jpg", "b/images/new.jpg"}


def test_another_source_of_a_target_takes_its_place(tmp_path: Path, run: Path) -> None:
    first, second = pack(tmp_path / "a.tar.gz", ["a.jpg"]), pack(tmp_path / "b.tar.gz", ["b.jpg"])
    stage(one(first, unpack=True), run)
    assert set(stage(one(second, unpack=True), run)) == {"train/images/b.jpg"}


def test_a_source_that_broke_leaves_what_was_staged_before(tmp_path: Path, run: Path) -> None:
    archive = pack(tmp_path / "images.tar.gz", ["a.jpg"])
    stage(one(archive, unpack=True), run)
    archive.write_bytes(b"broken")
    with pytest.raises(DataError, match="cannot be unpacked"):
        stage(one(archive, unpack=True), run)
    assert files(run / "staged") == {"train/images/a.jpg": b"x"}
    assert not (run / ".staging").exists()


_STAGE = """
import sys
from pathlib import Path
from porter.launch import staging, unpack
from porter.records.training import Staged
from porter.ui import Ui

def stop(self, *given):
    print("here", flush=True)
    sys.stdin.read()

target, name = sys.argv[3].rsplit(".", 1)
setattr({"writer": unpack._Writer, "staging": staging}[target], name, stop)
staged = Staged(source=sys.argv[1], target="staged/train/images", unpack=True)
staging.stage([staged], Path(sys.argv[2]), Ui(quiet=True))
"""


@pytest.mark.parametrize("where", ["writer._count", "writer.finished", "staging._put", "staging._brought"])
def test_a_killed_staging_is_taken_for_nothing(tmp_path: Path, run: Path, where: str) -> None:
    archive = pack(tmp_path / "images.tar.gz", ["a.jpg", "b.jpg"])
    process = subprocess.Popen(
        [sys.executable, "-c", _STAGE, archive, run, where],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "here\n"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    target = run / IMAGES
    assert not target.exists() or len(files(target)) == 2
    assert set(stage(one(archive, unpack=True), run)) == {"train/images/a.jpg", "train/images/b.jpg"}


def test_a_kill_while_one_is_replaced_loses_nothing(
    tmp_path: Path, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = pack(tmp_path / "images.tar.gz", ["a.jpg"])
    os.utime(archive, (1, 1))
    stage(one(archive, unpack=True), run)
    pack(archive, ["b.jpg"])
    os.utime(archive, (2, 2))
    with monkeypatch.context() as patch:

        def stop(*_given: object) -> None:
            raise KeyboardInterrupt

        patch.setattr(staging, "_brought", stop)
        with pytest.raises(KeyboardInterrupt):
            staging.stage(one(archive, unpack=True), run, ui())
    # The source goes back to what was noted before: what is in its place is the other one's.
    pack(archive, ["a.jpg"])
    os.utime(archive, (1, 1))
    assert set(stage(one(archive, unpack=True), run)) == {"train/images/a.jpg"}


def gone(store: Store) -> str:
    return "s3://bucket/gone/images.tar.gz"


def no_bucket(store: Store) -> str:
    return "s3://nowhere-at-all/images.tar.gz"


def broken(store: Store) -> str:
    return store.put("images.tar.gz", b"broken")


def hostile(store: Store) -> str:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as tar:
        tar.addfile(tarfile.TarInfo("../escaped"))
    return store.put("images.tar.gz", made.getvalue())


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (gone, "There is no s3://bucket/gone/images.tar.gz"),
        (no_bucket, "there is no such bucket"),
        (broken, "images.tar.gz cannot be unpacked"),
        (hostile, "images.tar.gz is not unpacked"),
    ],
)
def test_what_s3_does_not_give_is_told(
    run: Path, store: Store, make: Callable[[Store], str], said: str
) -> None:
    with pytest.raises(DataError) as caught:
        stage(one(make(store), unpack=True), run)
    assert said in str(caught.value)
    assert caught.value.next_step
    assert SECRET not in str(caught.value)
    assert not (run / "staged").exists()
    assert not (run / ".staging").exists()


class Answers(BaseHTTPRequestHandler):
    """Answers every request with one status, code and body."""

    status, code, body = 200, "", b""
    seen: list[tuple[str, str]] = []

    def do_GET(self) -> None:
        type(self).seen.append((self.path, self.headers.get("Authorization", "")))
        body = f"<Error><Code>{self.code}</Code></Error>".encode() if self.code else self.body
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815 - the name is the server's

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def answers() -> Iterator[tuple[str, type[Answers]]]:
    handler = type("One", (Answers,), {"seen": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", handler
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (403, "AccessDenied", "access is denied"),
        (403, "InvalidAccessKeyId", "access is denied"),
        (400, "ExpiredToken", "S3 answered 400"),
    ],
)
def test_what_s3_refuses_is_told(
    run: Path,
    store: Store,
    answers: tuple[str, type[Answers]],
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    code: str,
    said: str,
) -> None:
    address, handler = answers
    handler.status, handler.code = status, code
    monkeypatch.setenv("S3_ENDPOINT_URL", address)
    with pytest.raises(DataError) as caught:
        stage(one("s3://bucket/x.pth"), run)
    assert said in str(caught.value)
    assert caught.value.next_step
    assert ACCESS not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("S3_ENDPOINT_URL", "http://me:hunter2@127.0.0.1:9", "does not answer"),
        ("S3_ENDPOINT_URL", "hunter2", "cannot be read"),
        ("ACCESS_KEY", "", "there are no keys"),
    ],
)
def test_a_wrong_environment_is_told_without_its_values(
    run: Path, store: Store, monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(DataError, match=said) as caught:
        stage(one("s3://bucket/x.pth"), run)
    assert "hunter2" not in str(caught.value)


def test_names_of_aws_do_as_well(run: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for ours, theirs in (
        ("ACCESS_KEY", "AWS_ACCESS_KEY_ID"),
        ("SECRET_KEY", "AWS_SECRET_ACCESS_KEY"),
        ("S3_ENDPOINT_URL", "AWS_ENDPOINT_URL"),
        ("CLOUD_REGION", "AWS_REGION"),
    ):
        monkeypatch.setenv(theirs, os.environ[ours])
        monkeypatch.delenv(ours)
    store.put("x.pth", b"x")
    assert stage(one("s3://bucket/x.pth", "staged/weights/x.pth"), run) == {"weights/x.pth": b"x"}
    assert has_keys()


def test_keys_of_a_profile_do_as_well(
    tmp_path: Path, run: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ACCESS_KEY")
    monkeypatch.delenv("SECRET_KEY")
    assert not has_keys()
    (tmp_path / "keys").write_text(f"[default]\naws_access_key_id={ACCESS}\naws_secret_access_key={SECRET}\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "keys"))
    assert has_keys()
    store.put("x.pth", b"x")
    assert stage(one("s3://bucket/x.pth", "staged/weights/x.pth"), run)


@pytest.mark.parametrize("key", ["d/images/../../escaped", "d/images//etc/escaped"])
def test_keys_that_leave_the_folder_are_refused(run: Path, store: Store, key: str) -> None:
    store.put(key, b"x")
    with pytest.raises(DataError, match="outside its folder"):
        stage(one("s3://bucket/d/images"), run)
    assert not (run / "staged").exists()


def test_a_file_and_a_folder_of_one_name_cannot_both_be(run: Path, store: Store) -> None:
    store.put("d/images/a", b"x")
    store.put("d/images/a/b", b"x")
    with pytest.raises(DataError):
        stage(one("s3://bucket/d/images"), run)
    assert not (run / "staged").exists()


def test_a_full_disk_is_told(
    tmp_path: Path, run: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = store.put("x.pth", b"x" * 1000)
    archive = pack(tmp_path / "images.tar.gz", ["a.jpg"])
    wanted = (one(uri), one(archive, unpack=True), one(archive))
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=0))
        for staged in wanted:
            with pytest.raises(DataError, match="no room for"):
                stage(staged, run)

    def refuse(*_given: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    for where, staged in (
        ("porter.launch.unpack._Writer.file", wanted[1]),
        ("shutil.copyfile", wanted[2]),
        ("s3transfer.utils.OSUtils.rename_file", wanted[0]),
        ("porter.launch.staging._put", wanted[2]),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(where, refuse)
            with pytest.raises(DataError, match="no room for") as caught:
                stage(staged, run)
        assert "free some space" in caught.value.next_step
    assert not (run / "staged").exists()


def test_a_source_that_is_gone_is_told(tmp_path: Path, run: Path) -> None:
    with pytest.raises(DataError, match="is not there any more"):
        stage(one(tmp_path / "gone.tar.gz", unpack=True), run)


def test_without_boto3_the_extra_is_named(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "botocore.exceptions", None)
    with pytest.raises(PorterError, match="is not installed") as caught:
        stage(one("s3://bucket/x.pth"), run)
    assert "hf-tao-porter[train]" in caught.value.next_step


def test_progress_is_told_in_bytes_and_files(
    tmp_path: Path,
    run: Path,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sources, "_LINE_SECONDS", 0.0)
    archive = pack(tmp_path / "images.tar.gz", ["a.jpg", "b.jpg"]).read_bytes()
    uri = store.put("images.tar.gz", archive)
    staging.stage(one(uri, unpack=True), run, Ui())
    said = capsys.readouterr().err
    assert f"{uri}: {len(archive)} bytes of {len(archive)} bytes" in said
    assert f"unpacking {uri}: 2 files, 2 bytes" in said
    assert f"staged {uri}: 2 files, 2 bytes" in said
    staging.stage(one(uri, unpack=True), run, Ui())
    assert f"staged already: {uri}" in capsys.readouterr().err


NAME = "nvidia/tao/pretrained_dino_nvimagenet:resnet50"
WEIGHTS = "staged/weights/pretrained_dino_nvimagenet_resnet50"


def zipped(*names: str) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name in names:
            archive.writestr(name, b"weights")
    return made.getvalue()


def test_a_checkpoint_of_ngc_is_the_file_in_its_archive(
    run: Path, answers: tuple[str, type[Answers]], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, handler = answers
    handler.body = zipped("resnet50.pth", "experiment.yaml")
    monkeypatch.setenv("NGC_KEY", SECRET)
    brought = staging.stage(one(NAME, WEIGHTS), run, ui(), endpoint=address)
    asked = "/v2/models/nvidia/tao/pretrained_dino_nvimagenet/versions/resnet50/zip"
    assert handler.seen == [(asked, f"Bearer {SECRET}")]
    assert brought[0].path == f"{WEIGHTS}/resnet50.pth"
    staging.stage(one(NAME, WEIGHTS), run, ui(), endpoint=address)
    assert len(handler.seen) == 1
    assert SECRET not in (run / "staged.json").read_text()


@pytest.mark.parametrize(
    ("status", "body", "said", "step"),
    [
        (404, b"", "NGC has no nvidia/tao", "check name and version"),
        (401, b"", "does not give", "--base-checkpoint"),
        (403, b"", "does not give", "set NGC_KEY"),
        (500, b"", "NGC answered 500", "--base-checkpoint"),
        (200, b"broken", "cannot be unpacked", "pack it anew"),
        (200, zipped("read.me"), "none ends in", "--base-checkpoint"),
        (200, zipped("a.pth", "b.pth"), "a.pth, b.pth", "--base-checkpoint"),
    ],
    # Archives have the time in them, and would be in the names.
    ids=["none", "no-key", "forbidden", "broken", "no-archive", "no-weights", "two-weights"],
)
def test_what_ngc_does_not_give_is_told(
    run: Path,
    answers: tuple[str, type[Answers]],
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    body: bytes,
    said: str,
    step: str,
) -> None:
    address, handler = answers
    handler.status, handler.body = status, body
    monkeypatch.setenv("NGC_KEY", SECRET)
    with pytest.raises(DataError) as caught:
        staging.stage(one(NAME, WEIGHTS), run, ui(), endpoint=address)
    assert said in str(caught.value)
    assert step in caught.value.next_step
    assert SECRET not in str(caught.value)
    assert not (run / "staged").exists()
    # What everybody may have is asked for without a key that is refused.
    assert [key for _, key in handler.seen][1:] == ([""] if status in (401, 403) else [])


def test_an_ngc_that_does_not_answer_is_told(run: Path) -> None:
    with pytest.raises(DataError, match="NGC does not answer") as caught:
        staging.stage(one(NAME, WEIGHTS), run, ui(), endpoint="http://127.0.0.1:9")
    assert "--base-checkpoint" in caught.value.next_step


def test_names_of_ngc_are_told_from_paths() -> None:
    assert ngc.is_name(NAME)
    assert ngc.is_name("nvidia/model:1")
    for source in ("/home/me/a:b", "s3://bucket/a:b", "model:1", "a/b/c/d:1"):
        assert not ngc.is_name(source)


def test_paths_of_this_machine_become_absolute(
    tmp_path: Path, run: Path, answers: tuple[str, type[Answers]]
) -> None:
    address, handler = answers
    handler.body = zipped("resnet50.pth")
    archive = pack(tmp_path / "images.tar.gz", ["a.jpg"])
    staged = (*one(archive, unpack=True), *one(NAME, WEIGHTS))
    brought = staging.stage(staged, run, ui(), endpoint=address)
    spec = {
        "results_dir": "results",
        "dataset": {"train": [{"image_dir": IMAGES, "list": [IMAGES]}], "name": "staged", "number": 3},
        "train": {"path": WEIGHTS, "results_dir": "results/train", "text": "results"},
        "other": {"results_dir": "", "set": f"{IMAGES}x"},
    }
    resolved = staging.resolve(spec, brought, run)
    assert resolved.mounts == ()
    assert resolved.spec == {
        "results_dir": str(run / "results"),
        "dataset": {
            "train": [{"image_dir": str(run / IMAGES), "list": [str(run / IMAGES)]}],
            "name": "staged",
            "number": 3,
        },
        "train": {
            "path": str(run / WEIGHTS / "resnet50.pth"),
            "results_dir": str(run / "results" / "train"),
            "text": "results",
        },
        "other": {"results_dir": "", "set": f"{IMAGES}x"},
    }


def test_paths_of_containers_are_mounted(run: Path, answers: tuple[str, type[Answers]]) -> None:
    address, handler = answers
    handler.body = zipped("resnet50.pth")
    brought = staging.stage(one(NAME, f"/{WEIGHTS}"), run, ui(), endpoint=address)
    spec = {"results_dir": "/results", "train": {"path": f"/{WEIGHTS}", "data": "/data/train/images"}}
    resolved = staging.resolve(spec, brought, run)
    assert resolved.mounts == (Mount(source=str(run / "staged"), target="/staged"),)
    assert resolved.spec == {
        "results_dir": "/results",
        "train": {"path": f"/{WEIGHTS}/resnet50.pth", "data": "/data/train/images"},
    }


def test_nothing_to_stage_makes_nothing(run: Path) -> None:
    assert staging.stage((), run, ui()) == ()
    assert list(run.iterdir()) == []
    assert staging.resolve({"a": 1}, (), run).spec == {"a": 1}
