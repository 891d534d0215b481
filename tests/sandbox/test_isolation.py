"""What a hostile program finds in the sandbox, with real processes."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from porter.records.sandbox import Mount
from porter.sandbox.argv import NOBODY
from porter.sandbox.base import Sandbox
from porter.sandbox.host import HostSandbox
from tests.sandbox.conftest import RunPython

pytestmark = pytest.mark.bwrap

CONNECT = """
import socket, sys
try:
    socket.create_connection(("127.0.0.1", {port}), timeout=3).close()
except OSError as error:
    sys.exit(f"no: {{error}}")
print("connected")
"""


def said(result_log: str) -> str:
    return Path(result_log).read_text()


def test_the_network_of_the_machine_is_out_of_reach(run_python: RunPython) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        source = CONNECT.format(port=server.getsockname()[1])
        outside = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=False)
        assert outside.stdout == "connected\n"
        result = run_python(source)
    assert result.exit_code == 1
    assert said(result.log).startswith("no: ")


def test_programs_inside_can_talk_to_each_other(run_python: RunPython) -> None:
    result = run_python(
        "import socket\n"
        "with socket.create_server(('localhost', 0)) as server:\n"
        "    socket.create_connection(server.getsockname()[:2], timeout=3).close()\n"
        "print(socket.gethostname(), socket.gethostbyname(socket.gethostname()))\n"
    )
    assert said(result.log) == "sandbox 127.0.0.1\n"


def test_inputs_cannot_be_written_and_outputs_belong_to_the_caller(
    run_python: RunPython, tmp_path: Path, out: Path
) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    (model / "config.json").chmod(0o666)
    model.chmod(0o777)
    result = run_python(
        "import os, pathlib\n"
        f"model = pathlib.Path({str(model)!r})\n"
        "for attempt in (\n"
        "    lambda: (model / 'config.json').write_text('evil'),\n"
        "    lambda: (model / 'new').write_text('evil'),\n"
        "    lambda: (model / 'config.json').unlink(),\n"
        "    lambda: os.chmod(model, 0o777),\n"
        "    lambda: pathlib.Path('/usr/evil').write_text('evil'),\n"
        "    lambda: pathlib.Path('/evil').write_text('evil'),\n"
        "    lambda: pathlib.Path('/etc/passwd').write_text('evil'),\n"
        "):\n"
        "    try:\n"
        "        attempt()\n"
        "        print('done')\n"
        "    except OSError as error:\n"
        "        print('refused')\n"
        "pathlib.Path('answer').write_text('good')\n"
        "pathlib.Path('folder').mkdir()\n"
        "pathlib.Path('folder/tool').write_text('')\n"
        "os.chmod('folder/tool', 0o6755)\n",
        mounts=(Mount(path=str(model)),),
    )
    assert said(result.log) == "refused\n" * 7
    assert result.exit_code == 0
    assert (model / "config.json").read_text() == "{}"
    assert sorted(path.name for path in model.iterdir()) == ["config.json"]
    assert (out / "answer").read_text() == "good"
    for path in (out, out / "answer", out / "folder", out / "folder" / "tool"):
        assert path.stat().st_uid == os.getuid()
    assert (out / "folder" / "tool").stat().st_mode & 0o7777 == 0o755


def test_files_of_the_user_and_of_root_cannot_be_read(
    sandbox: Sandbox, run_python: RunPython, tmp_path: Path
) -> None:
    home = Path(os.environ["HOME"])
    (home / ".token").write_text("hf_secret")
    beside = tmp_path / "beside"
    beside.write_text("also secret")
    shown = tmp_path / "shown"
    shown.mkdir()
    (shown / "private").write_text("root's")
    (shown / "private").chmod(0o600)
    hidden = [str(home / ".token"), str(beside), "/etc/shadow", "/root/.ssh"]
    paths = [*hidden, "/proc/1/environ", "/proc/1/root/etc/shadow", str(shown / "private")]
    result = run_python(
        "import pathlib\n"
        f"for path in {paths!r}:\n"
        "    try:\n"
        "        pathlib.Path(path).open('rb').read()\n"
        "        print('read', path)\n"
        "    except OSError as error:\n"
        "        print(type(error).__name__)\n",
        mounts=(Mount(path=str(shown)),),
    )
    lines = said(result.log).splitlines()
    assert lines[:4] == ["FileNotFoundError"] * 4
    # The first process of a container is the run's own user's, and was told nothing.
    own = [] if isinstance(sandbox, HostSandbox) else ["read /proc/1/environ", "FileNotFoundError"]
    if os.getuid() == 0:
        assert lines[4:] == [*(own or ["PermissionError"] * 2), "PermissionError"]


def test_variables_of_the_caller_are_nowhere(run_python: RunPython, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_TOKEN", "NGC_KEY", "AWS_SECRET_ACCESS_KEY", "SOMETHING_ELSE"):
        monkeypatch.setenv(name, "s3cret-value_x")
    result = run_python(
        "import os, pathlib\n"
        "print(sorted(name for name, value in os.environ.items() if 'TOKEN' in name or 'KEY' in name))\n"
        "for folder in pathlib.Path('/proc').iterdir():\n"
        "    if folder.name.isdigit():\n"
        "        for file in ('environ', 'cmdline'):\n"
        "            try:\n"
        "                if bytes([118, 97, 108, 117, 101, 95, 120]) in (folder / file).read_bytes():\n"
        "                    print('found in', folder / file)\n"
        "            except OSError:\n"
        "                pass\n"
        "print(os.environ['HF_HUB_OFFLINE'], os.environ['TELEMETRY_OPT_OUT'], os.environ['HOME'])\n"
    )
    assert said(result.log) in (
        "['TOKENIZERS_PARALLELISM']\n1 yes /tmp/home\n",
        "['TOKENIZERS_PARALLELISM']\n1 yes /tmp\n",
    )
    assert "s3cret" not in result.command


def test_nothing_of_the_callers_rights_is_left(sandbox: Sandbox, run_python: RunPython) -> None:
    # Bubblewrap shows the user under another number, the containers under its own.
    user = NOBODY if isinstance(sandbox, HostSandbox) else os.getuid() or NOBODY
    result = run_python(
        "import os, pathlib\n"
        "status = pathlib.Path('/proc/self/status').read_text()\n"
        "fields = dict(line.split(':', 1) for line in status.splitlines())\n"
        "for name in ('CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'):\n"
        "    print(name, int(fields[name], 16))\n"
        "print('NoNewPrivs', fields['NoNewPrivs'].strip())\n"
        "print(os.getuid(), os.getgid())\n"
        "for attempt in (lambda: os.setuid(0), lambda: os.mknod('device', 0o20666, os.makedev(1, 1))):\n"
        "    try:\n"
        "        attempt()\n"
        "        print('done')\n"
        "    except OSError:\n"
        "        print('refused')\n"
    )
    assert said(result.log).splitlines() == [
        *(f"{name} 0" for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")),
        "NoNewPrivs 1",
        f"{user} {user}",
        "refused",
        "refused",
    ]


def test_other_processes_of_the_machine_are_invisible(run_python: RunPython) -> None:
    marker = "porter-test-process-outside"
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", marker]) as other:
        try:
            result = run_python(
                "import os, pathlib\n"
                "pids = [int(path.name) for path in pathlib.Path('/proc').iterdir() if path.name.isdigit()]\n"
                "commands = [pathlib.Path(f'/proc/{pid}/cmdline').read_text() for pid in pids]\n"
                "print(len(pids) < 10)\n"
                f"print(any({marker[:-1]!r} + {marker[-1]!r} in command for command in commands))\n"
            )
        finally:
            other.kill()
    assert said(result.log) == "True\nFalse\n"


def test_temporary_folders_are_writable_and_gone_afterwards(run_python: RunPython) -> None:
    result = run_python(
        "import pathlib, tempfile\n"
        "for name in (pathlib.Path.home(), tempfile.gettempdir(), '/dev/shm'):\n"
        "    folder = pathlib.Path(name)\n"
        "    print(list(folder.glob('left*')))\n"
        "for name in (pathlib.Path.home(), tempfile.gettempdir(), '/dev/shm'):\n"
        "    (pathlib.Path(name) / 'left').write_text('x')\n"
    )
    assert said(result.log) == "[]\n" * 3
    assert said(run_python("import pathlib; print(list(pathlib.Path('/tmp').glob('left*')))").log) == "[]\n"
    assert not Path("/tmp/left").exists()


def test_the_recorded_command_repeats_the_run(
    run_python: RunPython, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = run_python(
        "import os, pathlib\n"
        "pathlib.Path('answer').write_text('first')\n"
        "print('as it was', os.environ.get('HF_TOKEN'))"
    )
    monkeypatch.setenv("HF_TOKEN", "s3cret")
    (out / "answer").unlink()
    repeated = subprocess.run(result.command, shell=True, capture_output=True, text=True, check=False)
    assert (repeated.returncode, repeated.stdout) == (0, "as it was None\n")
    assert (out / "answer").read_text() == "first"
    script = Path(result.log).with_name("command.sh")
    by_script = subprocess.run([script], capture_output=True, text=True, check=False)
    assert by_script.stdout == "as it was None\n"


def test_a_path_with_spaces_and_quotes_survives(sandbox: Sandbox, tmp_path: Path) -> None:
    from porter.records.sandbox import RunSpec

    folder = tmp_path / "it's a $(folder)"
    folder.mkdir()
    (folder / "file").write_text("content\n")
    spec = RunSpec(name="cat", argv=("/bin/cat", "file"), cwd=str(folder), mounts=(Mount(path=str(folder)),))
    result = sandbox.run(spec)
    assert said(result.log) == "content\n"
    assert subprocess.run(result.command, shell=True, capture_output=True, check=False).stdout == b"content\n"


def test_a_mount_behind_a_symbolic_link_is_visible_under_both_paths(
    run_python: RunPython, tmp_path: Path
) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.mkdir()
    (real / "file").write_text("content")
    link.symlink_to(real)
    result = run_python(
        f"print(open({str(link / 'file')!r}).read(), open({str(real / 'file')!r}).read())",
        mounts=(Mount(path=str(link)),),
    )
    assert said(result.log) == "content content\n"
