"""Work: what each subcommand does; imported when it is asked for, because torch is behind it.

Start reading at `train.py`.
"""
