"""The quick-starts' host models: small, plain `nn.Module` trees without any trace of Esper.

Start reading at `mlp.py`.
"""
