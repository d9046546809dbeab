"""Contracts: the words that every part of Esper shares; no torch here.

Start reading at `lifecycle.py`.
"""
