"""Tradeul: a self-hosted, real-time scanner of the whole US stock market."""

__version__ = "0.1.0"
