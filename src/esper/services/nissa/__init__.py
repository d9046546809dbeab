"""Nissa, the observer: keeps what runs did, measures, warns and answers.

Start reading at `run_store.py`.
"""
