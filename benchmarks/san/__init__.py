"""SAN, against torch."""
