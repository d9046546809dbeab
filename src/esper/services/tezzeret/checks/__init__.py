"""Checks: what a kernel must do before it may be used, one question a file.

Start reading at `subject.py`.
"""
