"""A silo's folder to the layouts of other tools: one small file a kind, one line in `kinds.KINDS`."""
