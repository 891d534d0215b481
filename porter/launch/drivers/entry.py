"""Stand-alone: call the target of a console script, as ``module:function``, with a name and its arguments.

A clone that is not installed has no console scripts; this stands in for them. It imports nothing of porter.
"""

from __future__ import annotations

import importlib
import sys


def main() -> None:
    """Call it."""
    # Python looks for modules beside a script first, and here lie some that are named like packages.
    del sys.path[0]
    target, *sys.argv = sys.argv[1:]
    module, _, function = target.partition(":")
    sys.exit(getattr(importlib.import_module(module), function)())


if __name__ == "__main__":
    main()
