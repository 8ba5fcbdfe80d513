"""A model repository for Triton Inference Server, with a client."""
