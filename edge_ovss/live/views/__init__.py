"""Views of a run: a window, a video, recordings, files. The page has a folder of its own."""
