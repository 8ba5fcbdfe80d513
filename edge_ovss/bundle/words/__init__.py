"""Words that are inputs of a graph, and not frozen into it."""
