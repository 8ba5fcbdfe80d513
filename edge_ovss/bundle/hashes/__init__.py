"""Whether the files of a bundle are those that its manifest lists."""
