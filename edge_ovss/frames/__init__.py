"""Where images come from: files, folders, lists, videos, cameras and drawn streets."""
