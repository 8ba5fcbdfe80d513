"""Reads ONNX files without the onnx package, as far as checking a bundle needs."""
