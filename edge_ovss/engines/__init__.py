"""The engine builder: compile a bundle's graph for a kind of GPU, in a separate process."""
