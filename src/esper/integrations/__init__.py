"""Integrations: what other people's tools need in order to see a run.

Start reading at `loggers/feed.py`.
"""
