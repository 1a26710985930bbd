"""What every training program here shares: options, run folder, batches ahead, gradient step, loop and checkpoints (Keras, when used)."""
