"""Frames that follow each other: labels that do not flicker, and fewer inferences."""
