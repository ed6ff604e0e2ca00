"""The fixed benchmark: which runs it has, their data, their results on disk, and the pages made from them."""
