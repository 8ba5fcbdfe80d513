"""Shared by several verbs: the parser, the console, signals, options."""
