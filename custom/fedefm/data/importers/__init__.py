"""Published layouts to a silo's folder: one small file a kind, one line in `kinds.KINDS`."""
