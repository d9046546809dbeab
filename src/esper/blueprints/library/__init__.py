"""Library: the families of kernels that a layer may grow, one family a file.

Start reading at `catalog.py`.
"""
