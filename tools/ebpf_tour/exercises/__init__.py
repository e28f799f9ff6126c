"""The exercises, a module each: what it causes, and whether what was seen is right.

The files that a learner gets are in examples/exercises, a directory each.
"""
