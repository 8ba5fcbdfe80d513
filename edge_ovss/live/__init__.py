"""Frames that are segmented while they come, and the places that show them. Never needs torch."""
