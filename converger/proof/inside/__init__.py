"""What runs inside the project's interpreter: upgrades of scratch databases, and the guard around them.

Never imported by the rest of us. `proof/packing.py` makes one file of it, a zip, which Python runs by path
as the worker (`main`), and imports at the start of the project's own commands (`start`). It must run on
Python 3.8 with Alembic 1.7 or later and nothing else of ours installed, so it imports only the standard
library, Alembic and SQLAlchemy, and its own modules relatively.
"""
