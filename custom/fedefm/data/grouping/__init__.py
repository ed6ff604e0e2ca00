"""Which files of a hospital's folder belong together, so that no split parts them."""
