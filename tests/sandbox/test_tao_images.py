"""NVIDIA's images, with one made here in their place, and a registry that knows one key."""

from __future__ import annotations

import base64
import http.server
import io
import subprocess
import tarfile
import threading
import time
import uuid
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

from porter import tao_images
from porter.errors import HubError, SandboxError
from porter.records.sandbox import Engine
from porter.sandbox import base_image, engines, interpreters

KEY = "c4nary-of-a-registry-key"
_ENSURE = "import importlib.util, sys; sys.exit(bool(importlib.util.find_spec('nvidia_tao_pytorch')))"


@pytest.fixture(scope="module")
def vendor_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of an image with a Python, pip, and TAO packages of three kinds."""
    here = interpreters.this()
    prefix = Path(here.base_prefix)
    minor = f"python{here.minor}"
    archive = io.BytesIO()
    base_image.write_archive(archive, base_image.contents(here))
    path = tmp_path_factory.mktemp("vendor") / "vendor.tar"
    path.write_bytes(archive.getvalue())

    def wanted(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
        name = entry.name
        left_out = ("/test", "/idlelib", "/tkinter", "/__pycache__", "/lib2to3", "/config-")
        return (
            None
            if any(f"{minor}{part}" in name or part == "/__pycache__" in name for part in left_out)
            else entry
        )

    def not_installed(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
        kept = wanted(entry)
        parts = entry.name.partition("site-packages/")[2]
        return kept if not parts or parts.startswith("pip") else None

    with tarfile.open(path, "a") as tar:
        root = str(prefix).lstrip("/")
        tar.add(here.executable, f"{root}/bin/{minor}")
        tar.add(prefix / "lib" / minor, f"{root}/lib/{minor}", filter=not_installed)
        for library in prefix.glob("lib/libpython*"):
            tar.add(library, f"{root}/lib/{library.name}")
        site = f"{root}/lib/{minor}/site-packages"
        for name, module, version in (
            ("nvidia_tao_pytorch", "nvidia_tao_pytorch", "7.0.1"),
            ("nvidia_tao_deploy", "nvidia_tao_deploy", "7.2.0"),
            ("nvidia_tao_core", "nvidia_tao_core", "7.0.1"),
            ("torch", "torch", "2.11.0"),
        ):
            info = f"{name}-{version}.dist-info"
            for inside, text in (
                (f"{module}/__init__.py", ""),
                (
                    f"{info}/METADATA",
                    f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: {version}\n",
                ),
                (f"{info}/RECORD", f"{module}/__init__.py,,\n{info}/METADATA,,\n{info}/RECORD,,\n"),
            ):
                _add(tar, f"{site}/{inside}", text.encode())
        # What `setup.py develop` leaves: found, though nothing is installed under that name.
        _add(tar, f"{site}/nvidia_tao_ds/__init__.py", b"")
        link = tarfile.TarInfo("usr/local/bin/python3")
        link.type, link.linkname = tarfile.SYMTYPE, f"/{root}/bin/{minor}"
        tar.addfile(link)
    return path


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(data), 0o644
    tar.addfile(entry, io.BytesIO(data))


@pytest.fixture
def tags(podman: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """Names of prepared images that no other test and no person has."""
    own = {repo: f"localhost/porter-test-{uuid.uuid4().hex[:8]}:latest" for repo in tao_images.TAGS}
    monkeypatch.setattr(tao_images, "TAGS", own)
    yield own
    engines.call(podman, ["rmi", "-f", *own.values()])


@pytest.fixture
def vendor(podman: Engine, vendor_archive: Path) -> Iterator[str]:
    name = f"localhost/porter-test-vendor-{uuid.uuid4().hex[:8]}:7.0.1-pyt"
    done = engines.call(
        podman, ["import", "--change", "ENV PATH=/usr/local/bin:/bin", str(vendor_archive), name], seconds=120
    )
    assert done.returncode == 0, done.stderr
    yield name
    engines.call(podman, ["rmi", "-f", name])


def test_taos_own_packages_are_taken_out_and_nothing_else(
    podman: Engine, vendor: str, tags: dict[str, str], tmp_path: Path
) -> None:
    lines: list[str] = []
    made = tao_images.prepare(podman, "tao-pytorch", vendor, tmp_path, lines.append)
    assert made.tag == tags["tao-pytorch"]
    assert made.removed == ("nvidia-tao-deploy 7.2.0", "nvidia-tao-pytorch 7.0.1")
    assert made.versions == {"nvidia-tao-core": "7.0.1", "torch": "2.11.0"}
    assert made.python.startswith("/")
    assert lines
    run = ["run", "--rm", "--network=none", made.tag, "python3", "-c"]
    assert engines.call(podman, [*run, _ENSURE]).returncode == 0
    assert engines.call(podman, [*run, "import torch, nvidia_tao_core"]).returncode == 0

    lines.clear()
    again = tao_images.prepare(podman, "tao-pytorch", vendor, tmp_path, lines.append)
    assert again == made
    assert lines == []

    environment = tao_images.environment(made, gpu=False)
    assert (environment.image, environment.prefix, environment.baked) == (made.tag, "", True)
    assert tao_images.environment(made, gpu=True).digest != environment.digest


def test_an_image_of_somebody_else_keeps_its_name(
    podman: Engine, vendor: str, tags: dict[str, str], tmp_path: Path
) -> None:
    engines.output(podman, ["tag", vendor, tags["tao-deploy"]])
    before = tao_images.identity(podman, tags["tao-deploy"])
    with pytest.raises(SandboxError) as caught:
        tao_images.prepare(podman, "tao-deploy", vendor, tmp_path)
    assert tags["tao-deploy"] in caught.value.what
    assert "podman tag" in caught.value.next_step
    assert tao_images.identity(podman, tags["tao-deploy"]) == before


class Registry(http.server.BaseHTTPRequestHandler):
    """A registry that holds no image and lets one key in."""

    seen: list[str] = []

    def do_GET(self) -> None:
        given = self.headers.get("Authorization", "")
        self.seen.append(given)
        right = "Basic " + base64.b64encode(f"{tao_images.USER}:{KEY}".encode()).decode()
        if given != right:
            self._answer(401, b'{"errors": [{"code": "UNAUTHORIZED", "message": "authentication required"}]}')
        elif self.path == "/v2/":
            self._answer(200, b"{}")
        else:
            self._answer(404, b'{"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}')

    do_HEAD = do_GET  # noqa: N815 - the name that the server looks for

    def _answer(self, code: int, body: bytes) -> None:
        self.send_response(code)
        if code == 401:
            self.send_header("WWW-Authenticate", 'Basic realm="test"')
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_args: object) -> None:
        """Say nothing."""


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Registry)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    address = f"127.0.0.1:{server.server_address[1]}"
    settings = tmp_path / "registries.conf"
    settings.write_text(f'[[registry]]\nlocation = "{address}"\ninsecure = true\n')
    monkeypatch.setenv("CONTAINERS_REGISTRIES_CONF", str(settings))
    Registry.seen.clear()
    yield address
    server.shutdown()


@pytest.fixture
def processes() -> Iterator[list[str]]:
    """Every command line that was seen on this machine while the test ran."""
    seen: set[str] = set()
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    seen.add(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
                except OSError:
                    continue
            time.sleep(0.005)

    thread = threading.Thread(target=watch)
    thread.start()
    found: list[str] = []
    yield found
    over.set()
    thread.join()
    found.extend(seen)
    assert any("pull" in line or "login" in line for line in found)
    assert not [line for line in found if KEY in line]


def test_a_wrong_key_an_unknown_image_and_a_dead_registry_are_told_apart(
    podman: Engine, registry: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processes: list[str]
) -> None:
    reference = f"{registry}/nvidia/tao/tao-toolkit:7.0.1-pyt"

    def failure(name: str = reference) -> HubError:
        with pytest.raises(HubError) as caught:
            tao_images.pull(podman, name, tmp_path / "log.txt")
        assert KEY not in str(caught.value)
        return caught.value

    no_key = failure()
    assert "refuses the key, or none is set" in no_key.what
    assert "NGC_KEY" in no_key.next_step
    monkeypatch.setenv("NGC_KEY", f"not-{KEY}")
    wrong = failure()
    assert wrong.what.startswith(f"The login at {registry} failed")
    monkeypatch.setenv("NGC_KEY", KEY)
    unknown = failure()
    assert "no such image" in unknown.what
    assert reference in unknown.what
    assert any(given.startswith("Basic ") for given in Registry.seen)
    dead = failure("127.0.0.1:9/nvidia/tao/tao-toolkit:7.0.1-pyt")
    assert "cannot be reached" in dead.what
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or KEY not in path.read_text(errors="replace")
    logged_in = engines.call(podman, ["login", "--get-login", registry])
    assert logged_in.returncode != 0


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        ("Error: writing blob: no space left on device", "disk is full"),
        ("no matching manifest for linux/arm64 in the manifest list entries", "architecture"),
        ("dial tcp: lookup nvcr.io: no such host", "cannot be reached"),
        ("denied: requested access to the resource is denied", "refuses the key"),
        ("something new", ""),
    ],
)
def test_what_engines_say_has_a_cause_and_a_way_out(said: str, cause: str) -> None:
    found, fix = tao_images.explain(said)
    assert cause in found
    assert fix


def test_the_registry_of_a_reference() -> None:
    assert tao_images.registry_of("nvcr.io/nvidia/tao/tao-toolkit:7") == "nvcr.io"
    assert tao_images.registry_of("host:5000/x") == "host:5000"
    assert tao_images.registry_of("library/python:3") == "docker.io"
    assert tao_images.registry_of("localhost/porter-base:1") == ""


def test_the_script_that_strips_fails_where_something_stays(tmp_path: Path) -> None:
    from porter.resources import tree

    script = tree("containers") / "prepare" / "strip.py"
    # It takes packages out of whatever runs it: never out of the tests' own environment.
    venv.create(tmp_path / "own", with_pip=False)
    (tmp_path / "nvidia_tao_pytorch").mkdir()
    (tmp_path / "nvidia_tao_pytorch" / "__init__.py").write_text("")
    done = subprocess.run(
        [str(tmp_path / "own" / "bin" / "python"), str(script)],
        env={"PYTHONPATH": str(tmp_path), "PATH": "/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "nvidia_tao_pytorch" in done.stderr
