"""TensorRT and TensorRT for RTX at runtime: find, check, load and run engines."""
