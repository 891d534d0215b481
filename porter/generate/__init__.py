"""Rendering to a stage, the write gate and codemods."""
