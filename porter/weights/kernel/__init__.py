"""What runs inside a sandbox: reading, converting and comparing tensors.

Needs the standard library, numpy and torch; what only some environments have (transformers,
OmegaConf, Lightning) is imported inside the functions that use it. Never imported on the host.
"""
