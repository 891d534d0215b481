"""Stand-in for NVIDIA's encrypted file format, a package that no public index has.

tao-deploy imports it to open ``.etlt`` and encrypted engine files. Plain ``.onnx`` and ``.engine`` files
never use it; asking it to decrypt or to open an archive raises :class:`eff.missing.EffMissingError`.
"""
