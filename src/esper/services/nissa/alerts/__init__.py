"""Alerts: rules that find what needs a look, and the watch that keeps what is open.

Start reading at `watch.py`; a rule is a class of `run_rules.py` or `platform_rules.py`, and `docs/runbook.md` says what to do about it.
"""
