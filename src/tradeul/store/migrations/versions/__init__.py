"""One file per change of the catalog, in order."""
