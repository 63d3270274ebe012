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
    op.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, account_id INTEGER)")
    op.execute("INSERT INTO accounts (id) VALUES (1)")


def downgrade():
    pass
