"""Alerts: rules that find what needs a look, and the watch that keeps what is open.

Start reading at `watch.py`; rules are in `run_rules.py` and `platform_rules.py`.
"""
