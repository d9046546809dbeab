"""Execution: layers that host seeds, and the kernels that run inside them.

Start reading at `kasmina_layer.py`.
"""
