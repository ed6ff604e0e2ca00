"""A hospital's export to a folder without identifiers: headers, names, burned-in text; what is in doubt stays out."""
