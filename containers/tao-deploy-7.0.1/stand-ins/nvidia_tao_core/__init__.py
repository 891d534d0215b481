"""Stand-in for nvidia-tao-core, of which tao-deploy's scripts and launcher use two functions.

The real package is large and reports to a TAO service. Here there is nobody to report to: a status line is
dropped, and telemetry is not sent.
"""
