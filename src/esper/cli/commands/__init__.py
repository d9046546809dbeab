"""Commands: options, help and examples of each subcommand; nothing heavy is imported here.

Start reading at `train.py`.
"""
