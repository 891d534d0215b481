"""The side of TAO that runs as a service."""
