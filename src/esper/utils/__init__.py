"""Utilities: the registry mechanism, logging and object storage; no torch here.

Start reading at `registry.py`.
"""
