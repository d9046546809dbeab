"""Esper: neural networks that change their own structure while they train.

Start reading at `contracts/lifecycle.py`, then `execution/kasmina_layer.py`.
"""
