"""Stand-in for TAO's codec of encrypted model files; see :mod:`eff`."""
