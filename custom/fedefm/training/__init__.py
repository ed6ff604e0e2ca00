"""What the three jobs share: gradient steps, changes of a batch, scores, a hospital at work, arithmetic of weights."""
