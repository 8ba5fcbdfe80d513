"""What the bytes of an image file say before, and beside, decoding it."""
