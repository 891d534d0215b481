"""The platforms that jobs run on, each behind the same few calls."""
