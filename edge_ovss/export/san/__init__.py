"""SAN frozen for export."""
