"""Timing networks side by side: in one process, in turn, on the same inputs."""

PRECISIONS = ("float32", "bf16", "compiled")
