"""ONNX Runtime with NVIDIA's plug-in for TensorRT for RTX, and the engines that it compiles."""
