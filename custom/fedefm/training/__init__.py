"""One hospital's work: train, host a visiting expert, distil, evaluate."""
