"""Stand-alone scripts that run inside the sandbox and answer in JSON."""
