"""SED frozen for export."""
