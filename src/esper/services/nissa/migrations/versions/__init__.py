"""Versions: the steps in the order of their numbers.

Start reading at `v0001_tables.py`.
"""
