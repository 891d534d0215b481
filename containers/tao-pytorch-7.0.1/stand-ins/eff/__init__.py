"""Stand-in for NVIDIA's encrypted file format, a package that no public index has.

It lets the modules that import the format load. Checkpoints without a key never use it; asking it to encrypt,
decrypt or open an archive raises :class:`eff.missing.EffMissingError`.
"""
