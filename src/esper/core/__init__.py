"""Core: wraps a model, changes its structure and saves, restores and exports it.

Start reading at `model_wrapper.py`.
"""
