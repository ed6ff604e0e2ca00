"""What tests share: small networks, scripted hospitals, certificates, files to read."""
