"""Stand-in for nvidia-tao-core, of which tao-deploy's scripts and launcher use two functions.

The real package is large and reports to a TAO service. Here there is nobody to report to: a status line is
dropped, and telemetry is not sent. Where releases have their schemas in tao-core, those are the real ones:
they are found in the package of that name that lies behind this one on the path.
"""

from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)
