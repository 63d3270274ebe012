"""accounts

Revision ID: root
Revises:
Create Date: 2026-01-01 10:00:00.000000

"""

from alembic import op

revision = "root"
down_revision = None


def upgrade():
    op.execute("CREATE TABLE accounts (id INTEGER PRIMARY KEY, name VARCHAR(50), email TEXT, score INTEGER)")


def downgrade():
    pass
