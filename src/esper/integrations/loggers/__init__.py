"""Loggers: TensorBoard, W&B, MLflow, Trackio, and whatever has Lightning's logger surface.

Start reading at `feed.py`.
"""
