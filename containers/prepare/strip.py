"""Takes every TAO package but tao-core out of the Python that runs this, and proves that none is left.

tao-core is a dependency of the others that releases pin; where a port brings its own, that one comes first.
What was taken out is written to /opt/porter/removed.json.
"""

import importlib.metadata
import importlib.util
import json
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

RECORD = Path("/opt/porter/removed.json")
KEPT = "nvidia-tao-core"
PACKAGES = (
    "nvidia_tao_pytorch",
    "nvidia_tao_deploy",
    "nvidia_tao_ds",
    "nvidia_tao_dataservices",
    "nvidia_tao_tf2",
)


def installed() -> "dict[str, str]":
    """Return the TAO distributions, name and version."""
    found = {}
    for distribution in importlib.metadata.distributions():
        name = re.sub(r"[-_.]+", "-", distribution.metadata["Name"] or "").lower()
        if name.startswith("nvidia-tao") and name != KEPT:
            found[name] = distribution.version
    return found


def main() -> None:
    """Strip, check, record."""
    removed = installed()
    if removed:
        command = [sys.executable, "-m", "pip", "uninstall", "--yes", "--break-system-packages", *removed]
        if subprocess.run(command, check=False).returncode:
            subprocess.run([part for part in command if part != "--break-system-packages"], check=False)
    for folder in {Path(sysconfig.get_path(name)) for name in ("purelib", "platlib")}:
        for package in PACKAGES:
            shutil.rmtree(folder / package, ignore_errors=True)
            for left in [*folder.glob(f"{package}*.egg-link"), *folder.glob(f"__editable__*{package}*")]:
                left.unlink()
    importlib.invalidate_caches()
    left = [*installed(), *(name for name in PACKAGES if importlib.util.find_spec(name))]
    if left:
        sys.exit(f"these could not be taken out: {', '.join(left)}")
    RECORD.write_text(json.dumps(removed))


main()
