"""Checkpoints: what kind of file it is, reading it safely, and fitting it to a model."""
