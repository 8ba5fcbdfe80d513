"""CUDA from Python: the driver, the binding packages, and device memory."""
