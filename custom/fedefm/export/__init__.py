"""Weights for other programs, with a card that says what they are."""
