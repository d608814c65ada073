"""Borders to data vendors."""
