"""What a person mends of a segmented run: out to a viewer, and back into a silo."""
