"""The foundation job: hospitals exchange experts and learn from them."""
