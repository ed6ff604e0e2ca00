"""What goes into a kit: policy files, tight file modes, certificate requests. Files and cryptography; no FLARE."""
