"""Builders of `nvflare provision`, named in `provisioning/project.yml`."""
