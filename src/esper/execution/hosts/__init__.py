"""Hosts: the layer types that can carry a seed, one type a file.

Start reading at `linear.py`.
"""
