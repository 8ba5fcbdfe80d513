"""Building blocks of frozen graphs that families share."""
