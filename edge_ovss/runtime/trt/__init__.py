"""TensorRT and TensorRT for RTX at run time: find, check, load and run engines."""
