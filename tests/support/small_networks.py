"""The smallest networks that build in milliseconds."""

from fedefm.models.spec import ModelSpec

SMALLEST = ModelSpec("Unet", "tu-test_resnet", {"encoder_depth": 4, "decoder_channels": [32, 24, 16, 8]})
