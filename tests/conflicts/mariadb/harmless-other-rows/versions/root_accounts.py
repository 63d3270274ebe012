"""accounts

Revision ID: root
Revises:
Create Date: 2026-01-01 10:00:00.000000

"""

from alembic import op

revision = "root"
down_revision = None


def upgrade():
    op.execute("CREATE TABLE settings (name VARCHAR(20) PRIMARY KEY, value VARCHAR(20))")
    op.execute("INSERT INTO settings VALUES ('limit', '10'), ('mode', 'a')")


def downgrade():
    pass
