"""How the two-head network learns: pre-training, the paper's fine-tuning, and the guarded one.

Tensors in, a network and figures out: no catalog, no folder, so the same code runs in the program,
in the benchmarks and on a machine that holds nothing but torch.
"""
