"""DeOP frozen for export."""
