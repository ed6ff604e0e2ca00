"""Measuring every model on every hospital's test images, as plain functions: no FLARE."""
