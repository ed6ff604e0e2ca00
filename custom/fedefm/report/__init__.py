"""What a finished run shows: `report.json`, the page `report.html` beside it, and tables on the terminal.

Nothing is imported here: curves take seconds to import, and a page of a film has none.
"""
