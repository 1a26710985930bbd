"""What every training program here shares: options, run folder, batches ahead, gradient step, loop and checkpoints (Keras, when used)."""

import os

# TensorFlow leaves oneDNN's kernels out on processors without AVX-512, where they make a step of RegNet a quarter shorter too.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
