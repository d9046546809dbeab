"""CLI: the `esper` command and its reports.

Start reading at `main.py`.
"""
