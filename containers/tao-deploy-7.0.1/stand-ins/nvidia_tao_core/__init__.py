"""Stand-in for nvidia-tao-core, of which tao-deploy's scripts use one function.

The real package is large and reports to a TAO service. There is no telemetry module here: nothing is to be
sent from a rehearsal, and the command that would send it does not start.
"""
