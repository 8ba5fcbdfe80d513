"""Cameras, streams and GStreamer pipelines: their addresses, and how they are opened."""
