"""Fine-tuning a foundation model on a hospital's few labels, as plain functions: no FLARE."""
