"""``python -m tradeul``: the same as the command ``tradeul``."""

from tradeul.cli import main

main()
