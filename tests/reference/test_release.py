"""A release is what its pins, base image and tags say; version.py is not asked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from porter.errors import WorkspaceError
from porter.records.reference import Repo
from porter.reference.release import known_releases, read_release
from tests.real_clones import real_clone
from tests.reference.trees import CONFIG, tao_tree
from tests.repositories import git, write

PINS = "docker/requirements-pip.txt"
TORCH_PINS = "docker/requirements-pip-pytorch.txt"


def manifest(digest: str) -> str:
    return json.dumps({"digests": {"x86": f"sha256:{digest}", "arm": "sha256:0"}})


def test_pins_alone_name_the_release_and_its_environment(tmp_path: Path) -> None:
    release = read_release("tao-pytorch", tao_tree(tmp_path / "clone"))

    assert (release.version, release.layout, release.tag) == ("7.0.1", "in-repo", "")
    assert release.commit == git(tmp_path / "clone", "rev-parse", "HEAD")
    assert f"{PINS} pins huggingface_hub==0.36.2, as 7.0.1 does" in release.evidence
    assert not any("version.py" in sentence for sentence in release.evidence)


def test_the_layout_is_where_the_configs_live(tmp_path: Path) -> None:
    clone = tao_tree(
        tmp_path / "clone",
        {
            f"{CONFIG}/utils/types.py": None,
            PINS: "transformers<5.0.0\n",
            TORCH_PINS: "timm==1.0.14\npytorch-lightning==2.5.0.post0\ntorchmetrics==1.6.1\n",
        },
    )

    release = read_release("tao-pytorch", clone)

    assert (release.version, release.layout) == ("6.26.3", "core")
    assert release.environment == "tao-pytorch-7.0.1"


def test_local_commits_that_move_a_pin_keep_the_release_of_their_base_image(tmp_path: Path) -> None:
    clone = tao_tree(tmp_path / "clone", {"docker/manifest.json": manifest("0dda18f23cbd" + "0" * 52)})
    write(clone, {TORCH_PINS: "pytorch_lightning==2.6.1\ntimm==1.0.99\ntorchmetrics==1.9.0\n"})
    git(clone, "commit", "-aqm", "a newer timm")

    release = read_release("tao-pytorch", clone)

    assert release.version == "7.0.1"
    assert f"{TORCH_PINS} pins timm==1.0.99 (7.0.1: ==1.0.26)" in release.evidence


def test_another_base_image_is_another_release(tmp_path: Path) -> None:
    clone = tao_tree(tmp_path / "clone", {"docker/manifest.json": manifest("f" * 64)})

    with pytest.raises(WorkspaceError, match="that porter does not know") as refused:
        read_release("tao-pytorch", clone)

    assert refused.value.why.startswith(f"looked at: {TORCH_PINS}; {PINS}; docker/manifest.json; the tags")
    assert "names base image ffffffffffff (7.0.1: 0dda18f23cbd)" in refused.value.why
    assert refused.value.next_step.endswith("checkout 7.0.1")


def test_pins_that_fit_nothing_are_refused(tmp_path: Path) -> None:
    clone = tao_tree(tmp_path / "clone", {PINS: "transformers>=5\n", TORCH_PINS: None})

    with pytest.raises(WorkspaceError) as refused:
        read_release("tao-pytorch", clone)

    assert f"{TORCH_PINS} (absent)" in refused.value.why


def test_a_tag_with_the_same_files_names_the_release(tmp_path: Path) -> None:
    clone = tao_tree(tmp_path / "clone", {PINS: "", TORCH_PINS: ""})
    git(clone, "tag", "-a", "7.0.1", "-m", "release")
    assert read_release("tao-pytorch", clone).evidence[1] == "the commit carries the tag 7.0.1"

    git(clone, "commit", "-q", "--amend", "-m", "squashed onto main")
    release = read_release("tao-pytorch", clone)

    assert (release.version, release.tag) == ("7.0.1", "7.0.1")
    assert release.evidence[1] == "its files are those of the tag 7.0.1"


def test_a_tag_of_the_user_does_not_outweigh_the_facts(tmp_path: Path) -> None:
    clone = tao_tree(tmp_path / "clone")
    git(clone, "tag", "1.2.3")
    git(clone, "tag", "before-the-port")

    assert read_release("tao-pytorch", clone).version == "7.0.1"


def test_a_version_tag_counts_where_no_fact_does(tmp_path: Path) -> None:
    clone = tao_tree(tmp_path / "clone", {PINS: "transformers>=5\n"})
    git(clone, "tag", "v8.1.0")

    release = read_release("tao-pytorch", clone)

    assert (release.version, release.environment) == ("8.1.0", "")


def test_a_folder_of_something_else_names_the_file_that_was_expected(tmp_path: Path) -> None:
    clone = tao_tree(tmp_path / "clone")

    with pytest.raises(WorkspaceError, match="is not a clone of tao-deploy") as refused:
        read_release("tao-deploy", clone)

    assert "has no nvidia_tao_deploy/__init__.py" in refused.value.why


@pytest.mark.real_tao
@pytest.mark.parametrize(
    ("repo", "revision", "version", "layout"),
    [
        ("tao-pytorch", "d99ff77", "7.0.1", "in-repo"),
        ("tao-pytorch", "19cc4bc", "7.0.0", "in-repo"),
        ("tao-pytorch", "bb8b234", "6.26.3", "core"),
        ("tao-deploy", "7.0.1", "7.0.1", "in-repo"),
        ("tao-deploy", "7.1.0", "7.1.0", "in-repo"),
        ("tao-deploy", "f353ae7", "7.2.0", "in-repo"),
    ],
)
def test_real_clones(repo: Repo, revision: str, version: str, layout: str) -> None:
    release = read_release(repo, real_clone(repo), revision=revision)

    assert (release.version, release.layout) == (version, layout)
    assert release.version in known_releases(repo)


@pytest.mark.real_tao
def test_real_releases_that_no_fact_names() -> None:
    clone = real_clone("tao-pytorch")

    with pytest.raises(WorkspaceError, match="does not know"):
        read_release("tao-pytorch", clone, revision="5bd60a5")
    # 7.0.1 and 7.1.0 of tao-deploy have the same pins; porter does not guess between them.
    assert read_release("tao-deploy", real_clone("tao-deploy"), revision="7.1.0~1").version == ""
