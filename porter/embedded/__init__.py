"""The embedded kit: porter's own small tao-pytorch tree, and how it becomes a git repository."""
