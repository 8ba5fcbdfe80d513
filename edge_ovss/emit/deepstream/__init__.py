"""Files with which DeepStream's nvinfer runs a bundle."""
