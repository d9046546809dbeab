"""Tolaria, the trainer: trains a model that may change its structure as it goes.

Start reading at `trainer.py`.
"""
