"""What the installed script does: like it, this does not put the current folder on Python's path."""

from converger.cli import main

main()
