"""Other processes: their files, symbols and mappings."""
