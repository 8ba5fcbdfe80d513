"""ONNX graphs: one view of a graph, one pass per module, one probe for tensors."""
