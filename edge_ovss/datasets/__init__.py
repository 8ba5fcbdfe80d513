"""Labeled data sets: layouts, label files, checks, and how classes map to outputs."""
