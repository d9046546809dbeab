"""Urza, the library: keeps blueprints and kernels, hands out work, and says what became of it.

Start reading at `kernel_library.py`.
"""
