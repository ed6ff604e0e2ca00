"""The FLARE side: the only package that imports nvflare. Thin classes over `exchange` and `training`."""
