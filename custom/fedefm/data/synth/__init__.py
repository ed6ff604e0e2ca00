"""Labelled synthetic fluoroscopy: four looks, three classes, exact masks."""

from fedefm.data.synth.consortium import SiteSpec, default_sites, write_consortium
from fedefm.data.synth.frame import SynthFrame, render
from fedefm.data.synth.looks import CLASSES, HELD_BACK, LOOKS
from fedefm.data.synth.site import write_site

__all__ = [
    "CLASSES",
    "HELD_BACK",
    "LOOKS",
    "SiteSpec",
    "SynthFrame",
    "default_sites",
    "render",
    "write_consortium",
    "write_site",
]
