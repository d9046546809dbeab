"""Nissa's routes, one file for each kind of thing that is asked about.

Start reading at `run_routes.py`.
"""
