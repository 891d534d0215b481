"""Where models come from: the Hugging Face Hub or a folder, pinned and made readable for a sandbox.

``resolve`` pins a source and fetches what describes it; ``tensor_table`` reads the weights'
headers without the weights; ``download`` fetches the weights.
"""

from porter.hub.source import contents, download, is_complete, pickles, resolve, store, tensor_table

__all__ = ["contents", "download", "is_complete", "pickles", "resolve", "store", "tensor_table"]
