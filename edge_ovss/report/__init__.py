"""Everything measured of a bundle on one page: HTML, JSON and a Markdown model card."""
