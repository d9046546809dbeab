"""Ops: the closed vocabulary that a graph may use, each with its shapes, weights and cost.

Start reading at `op.py`; `vocabulary.py` is the whole list.
"""
