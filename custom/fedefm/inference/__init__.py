"""A trained network on a real run: frames in one at a time, label maps and pictures out."""
