"""CLI: the `esper` command, with live progress, errors in one line, documented exit codes.

Start reading at `main.py`, then `app.py`; `commands/` says what can be asked for, `work/` does it.
"""
