"""What stays: bulk data in the lake, everything else in the catalog."""
