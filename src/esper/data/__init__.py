"""Data: the data sets of the quick-starts, generated or shipped, never downloaded.

Start reading at `catalog.py`.
"""
