"""Tolaria, the trainer: trains a model that may change its structure as it goes.

Start reading at `run.py`, the training loop; `trainer.py` is the run around it.
"""
