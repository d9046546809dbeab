"""Blueprints: what a kernel computes, as data, and the library of kernels to grow.

Start reading at `ir.py`.
"""
