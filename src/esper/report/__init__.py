"""Report: turns the folder of a finished run into one page that a person wants to read.

Start reading at `page.py`.
"""
