"""Hosting: runs the platform's services on one machine, and lets others find them.

Start reading at `platform.py`.
"""
