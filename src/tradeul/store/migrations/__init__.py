"""The catalog's numbered changes; `versions/` holds one file each, never edited once released."""
