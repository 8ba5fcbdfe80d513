"""Files for other programs, made from a bundle; each says from which bundle (`emit.origin`)."""
