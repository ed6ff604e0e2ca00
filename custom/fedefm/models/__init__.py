"""Networks by a small spec, their features, and weights on disk."""
