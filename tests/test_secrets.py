"""Where keys and tokens come from, and who does not get them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from porter import git, secrets
from porter.errors import UsageError

CANARY = "c4nary-of-a-token"


def env_file(tmp_path: Path, text: str, mode: int = 0o600) -> Path:
    path = tmp_path / "secrets.env"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_a_file_stands_in_for_the_environment_and_does_not_overrule_it(tmp_path: Path) -> None:
    text = "# keys\n\nexport HF_TOKEN='from file'\nNGC_KEY=key=with=signs\nPATH=/evil\nLD_PRELOAD=/evil.so\n"
    variables = {secrets.FILE: str(env_file(tmp_path, text)), "PATH": "/bin"}
    secrets.load(variables)
    assert variables["HF_TOKEN"] == "from file"
    assert variables["NGC_KEY"] == "key=with=signs"
    assert variables["PATH"] == "/bin"
    assert "LD_PRELOAD" not in variables
    variables["HF_TOKEN"] = "mine"
    secrets.load(variables)
    assert variables["HF_TOKEN"] == "mine"


@pytest.mark.parametrize(
    ("text", "mode", "words"),
    [
        (f"NGC_KEY={CANARY}\n", 0o644, "can be read by others"),
        (f"NGC_KEY={CANARY}\n{CANARY}\n", 0o600, "Line 2"),
        (None, 0o600, "cannot be read"),
    ],
)
def test_a_file_that_will_not_do_is_refused_without_its_contents(
    tmp_path: Path, text: str | None, mode: int, words: str
) -> None:
    path = env_file(tmp_path, text, mode) if text is not None else tmp_path / "none"
    with pytest.raises(UsageError) as caught:
        secrets.load({secrets.FILE: str(path)})
    assert words in caught.value.what
    assert CANARY not in str(caught.value)


def test_git_and_pip_get_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    from porter.sandbox import installer

    for name in secrets.NAMES:
        monkeypatch.setenv(name, CANARY)
    for variables in (git.environment(), installer._environment(), secrets.without()):
        assert CANARY not in variables.values()
        assert variables["PATH"] == os.environ["PATH"]


def test_the_command_line_reads_the_file_and_tells_nothing_of_it(tmp_path: Path) -> None:
    path = env_file(tmp_path, f"HF_TOKEN={CANARY}\nNGC_KEY={CANARY}\n")
    done = subprocess.run(
        [sys.executable, "-m", "porter", "doctor", "--json", "--engine", "host"],
        env={**os.environ, secrets.FILE: str(path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert '"prerequisites-registry"' in done.stdout
    assert "HF_TOKEN is set" in done.stdout
    assert CANARY not in done.stdout + done.stderr


def test_text_is_shown_without_values_of_secrets_and_without_what_has_the_form_of_one() -> None:
    variables = {
        "NGC_KEY": CANARY,
        "SECRET_KEY": f"{CANARY}/and+more",
        "ACCESS_KEY": "short",
        "OTHER": "visible",
    }
    text = f"a {CANARY}/and+more b {CANARY}%2Fand%2Bmore c {CANARY} d short e visible"
    shown = secrets.hide(text, variables)
    assert shown == "a (not shown) b (not shown) c (not shown) d short e visible"
    for token in ("hf_" + "a1B2" * 8, "nvapi-" + "x_-9" * 8):
        assert secrets.hide(f"token {token}.", {}) == "token (not shown)."
    assert (
        secrets.hide("https://b/k?X-Amz-Signature=0aF9&b", {}) == "https://b/k?X-Amz-Signature=(not shown)&b"
    )
    assert secrets.hide("hf_hub is a package", {}) == "hf_hub is a package"
