"""`python -m converger` is `alembic-converger`."""

from converger.cli import main

if __name__ == "__main__":
    main()
