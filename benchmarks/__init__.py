"""Programs that measure edge-ovss against others (benchmarks/README.md)."""
