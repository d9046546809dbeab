"""CLI: the `esper` command, with live progress, errors in one line, documented exit codes.

Start reading at `app.py`, then `noun.py` and a short noun, `status.py`; each noun is a file.
"""
