"""The dashboard: shows in a browser what grew, where, why and what it bought, live and afterwards.

Start reading at `mount.py`.
"""
