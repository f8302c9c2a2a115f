"""The boot program: what a node does from its first moment to its first answered completion.

It needs nothing but Python's standard library (3.10 and later), because it runs before anything is installed.
"""
