"""Tezzeret, the forge: builds kernels from blueprints and proves them.

Start reading at `prove.py`.
"""
