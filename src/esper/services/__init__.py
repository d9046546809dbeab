"""Services: the parts that train, decide, build, keep, carry and watch.

Start reading at `tolaria/trainer.py`.
"""
