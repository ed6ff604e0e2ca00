"""A federation whose participants are containers of our own image, on networks that a test makes."""
