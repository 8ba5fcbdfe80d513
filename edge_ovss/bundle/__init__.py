"""The contract of a bundle: its manifest, its graph, its reference answer; read and written."""
