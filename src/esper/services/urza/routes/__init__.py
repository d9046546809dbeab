"""Routes, the library over HTTP: one file for each kind of thing.

Start reading at `kernel_routes.py`.
"""
