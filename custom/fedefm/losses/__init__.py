"""Segmentation and distillation losses with label corpora."""
