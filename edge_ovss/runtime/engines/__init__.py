"""Engines: a bundle's graph compiled for one kind of GPU, kept in the bundle under a key.

`key` says what decides whether an engine may be loaded, `cache` finds and checks engines, `build`
makes them in a child process (`child`), `proof` compares them with the bundle's reference answer.
"""
