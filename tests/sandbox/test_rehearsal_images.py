"""Images of requirement sets, built for real on every engine from a local wheel."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from porter import rehearsal_images
from porter.errors import HubError, SandboxError
from porter.records.sandbox import Engine, Environment, Mount, RunSpec
from porter.sandbox import base_image, engines, environments, images, interpreters
from porter.sandbox.container import WORKSPACE_LABEL, ContainerSandbox, Place
from tests.sandbox.conftest import MINOR

SECRET = "c4naryOfTheIndex"
LOOK = """
import absent, json, os, sys, tiny
print(json.dumps({
    "prefix": sys.prefix, "tiny": tiny.VERSION, "absent": absent.__file__,
    "wheels": os.path.exists("/wheels"), "user": os.getuid(),
}))
"""


@pytest.fixture(autouse=True)
def left_alone(engine: Engine) -> Iterator[None]:
    """Remove the images of the small set."""
    yield
    names = engines.output(engine, ["images", "--format", "{{.Repository}}:{{.Tag}}"]).split()
    if mine := [name for name in names if name.startswith("localhost/porter-small:")]:
        engines.output(engine, ["rmi", *mine])


def built(engine: Engine, sets: Path, base: str = "") -> tuple[Environment, list[str]]:
    lines: list[str] = []
    return rehearsal_images.build(engine, "small", base, lines.append, sets=sets), lines


def test_an_image_holds_what_is_pinned_and_nothing_that_it_was_made_with(
    engine: Engine, sets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORTER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", f"https://me:{SECRET}@127.0.0.1:9/simple")
    monkeypatch.setenv("HF_TOKEN", SECRET)
    assert images.find(engine, "small", sets=sets) is None
    made, lines = built(engine, sets)
    assert any("building localhost/porter-small:" in line for line in lines)
    assert made.versions == {"tiny": "1.0"}
    assert built(engine, sets) == (made, [])
    assert images.find(engine, "small", sets=sets) == made
    out = tmp_path / "out"
    out.mkdir()
    place = Place(
        engine=engine,
        profile="gate",
        name=f"porter-images-{os.getpid()}",
        labels={WORKSPACE_LABEL: f"images-{os.getpid()}"},
        desk=tmp_path / "desk",
    )
    box = ContainerSandbox(made, tmp_path / "runs", place)
    try:
        spec = RunSpec(
            name="look",
            argv=(made.python, "-c", LOOK),
            cwd=str(out),
            mounts=(Mount(path=str(out), writable=True),),
        )
        found = json.loads(Path(box.run(spec).log).read_text())
    finally:
        box.close()
    assert found.pop("user") != 0
    assert found == {
        "prefix": "/opt/porter/env",
        "tiny": "1.0",
        "absent": "/opt/porter/set/stand-ins/absent.py",
        "wheels": False,
    }
    for question in (["history", "--no-trunc", made.image], ["image", "inspect", made.image]):
        assert SECRET not in engines.output(engine, question)
    for path in (tmp_path / "cache").rglob("*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes(), path
    assert not list((tmp_path / "cache" / "images").glob(".context*"))


def test_another_pin_or_stand_in_is_another_image(engine: Engine, sets: Path) -> None:
    def tag() -> str:
        return images.tag(environments.locate("small", sets=sets))

    names = [tag()]
    (sets / "small" / "stand-ins" / "absent.py").write_text("REAL = None\n")
    names.append(tag())
    (sets / "small" / "requirements.txt").write_text("tiny==2.0\n")
    names.append(tag())
    assert len(set(names)) == 3
    assert images.find(engine, "small", sets=sets) is None


def test_a_base_with_another_python_is_refused_before_anything_is_fetched(
    engine: Engine, sets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORTER_CACHE", str(tmp_path / "cache"))
    base = base_image.ensure(engine, interpreters.this())
    with pytest.raises(SandboxError, match="cannot be the base of small") as refused:
        built(engine, sets, base)
    assert f"Python {MINOR}" in refused.value.next_step
    with pytest.raises(HubError, match=r"porter-none:1 cannot be pulled"):
        built(engine, sets, "127.0.0.1:9/porter-none:1")
    assert not list((tmp_path / "cache").rglob("*.whl"))
    assert images.find(engine, "small", sets=sets) is None


def test_a_pin_that_cannot_be_had_leaves_no_image(
    engine: Engine, sets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORTER_CACHE", str(tmp_path / "cache"))
    (sets / "small" / "requirements.txt").write_text("tiny==3.0\n")
    with pytest.raises(SandboxError, match="wheels of small could not be fetched"):
        built(engine, sets)
    assert images.find(engine, "small", sets=sets) is None
    (sets / "small" / "requirements.txt").write_text("tiny==2.0\n")
    assert built(engine, sets, base_image.with_python(engine, interpreters.this()))[0].versions == {
        "tiny": "2.0"
    }
