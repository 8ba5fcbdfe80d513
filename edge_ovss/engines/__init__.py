"""The engine builder: compile a bundle's graph for one kind of GPU, in a process of its own."""
