"""Massive, Polygon.io until October 2025."""
