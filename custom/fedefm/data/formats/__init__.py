"""One file a format: a reader class each. `fedefm.data.readers` lists them."""
