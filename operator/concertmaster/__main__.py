"""``python -m concertmaster``: the command line."""

from concertmaster.cli import main

main()
