"""Alerts: rules that find what needs a look, and the watch that keeps what is open.

Start reading at `watch.py`; a rule is one file, and `docs/runbook.md` says what to do about it.
"""
