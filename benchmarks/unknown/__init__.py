"""Which measure tells best that a pixel is none of the words."""
