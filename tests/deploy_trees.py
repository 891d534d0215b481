"""A tree that has of tao-deploy just what a port relies on: names and parameters, nothing behind them."""

from __future__ import annotations

from collections import defaultdict

from porter.embedded.materialise import kit_files
from porter.reference.network import load_network

SETUP = """import setuptools

setuptools.setup(
    name="nvidia_tao_deploy",
    entry_points={
        "console_scripts": [
            "dino=nvidia_tao_deploy.cv.dino.entrypoint.dino:main",
        ]
    },
)
"""
HEADER = """\
# SPDX-FileCopyrightText: Copyright (c) 2025 SOMEBODY. All rights reserved.
# SPDX-License-Identifier: X
"""
OPTIONAL = "EngineBuilder._extra_network_flags"


def deploy_files(*, optional: bool = True, docs: bool = True) -> dict[str, str]:
    """Return text by path.

    Args:
        optional: whether the optional hooks are there.
        docs: whether the tool that writes documentation is there.
    """
    place = load_network("classification_pyt", "in-repo").deploy
    assert place is not None
    classes: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for symbol in place.symbols.values():
        module, _, name = symbol.partition(":")
        classes[module][name] += []
    hooks = {**place.hooks, **(dict.fromkeys(place.optional_hooks, ()) if optional else {})}
    for hook, parameters in hooks.items():
        symbol, _, method = hook.rpartition(".")
        module, _, name = symbol.partition(":")
        named = "".join(f", {parameter}=None" for parameter in parameters)
        classes[module][name].append(f"    def {method}(self{named}):\n        pass\n")
    files = {}
    for module, found in classes.items():
        bodies = (f"class {name}:\n{''.join(body) or '    pass'}\n" for name, body in found.items())
        files[f"{module.replace('.', '/')}.py"] = HEADER + "\n" + "\n".join(bodies)
    for path, content in kit_files():
        if path.startswith("nvidia_tao_pytorch/config/"):
            text = content.decode().replace("nvidia_tao_pytorch", "nvidia_tao_deploy")
            files[path.replace("nvidia_tao_pytorch", "nvidia_tao_deploy")] = text
    files["nvidia_tao_deploy/cv/dino/__init__.py"] = ""
    files["setup.py"] = files["setup_l4t.py"] = SETUP
    if docs:
        files[place.docs_tool] = files[place.docs_page] = ""
    return files
