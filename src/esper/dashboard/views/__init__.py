"""The views: what a page says, worked out from a run's lines without any HTML.

Start reading at `picture.py`.
"""
