"""Score a bundle on videos: as it is, and stabilized."""
