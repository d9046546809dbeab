"""Routes, the library over HTTP: one file for each kind of thing.

Start reading at `kernels.py`.
"""
