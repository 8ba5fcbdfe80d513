"""Find the best bundle for this device by measuring: accuracy, time, memory, size.

Without torch where bundles are given; making them from a model needs the extra `export`.
"""
