"""Write a model's text tower as files that run without torch."""
