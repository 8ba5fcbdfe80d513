"""The parts of `edge-ovss run`: recordings in order, cameras as they come, and their views."""
