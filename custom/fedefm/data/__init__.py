"""Files to tensors: a hospital's images, masks and what it says about them."""
