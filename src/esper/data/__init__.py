"""Data: the data sets of the quick-starts and the small host models that go with them.

Start reading at `catalog.py`.
"""
