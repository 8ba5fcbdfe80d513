"""Videos, cameras and streams, read through OpenCV, and whether a file is whole."""
