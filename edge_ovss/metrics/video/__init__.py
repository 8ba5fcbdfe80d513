"""Scores of label maps that follow each other: steady, right, and both."""
