"""Inspect the bytes of an image file before decoding: header, integrity, orientation."""
