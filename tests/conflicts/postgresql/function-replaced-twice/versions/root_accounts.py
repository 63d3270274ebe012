"""accounts

Revision ID: root
Revises:
Create Date: 2026-01-01 10:00:00.000000

"""

from alembic import op

revision = "root"
down_revision = None


def upgrade():
    op.execute("CREATE FUNCTION fee(amount integer) RETURNS integer LANGUAGE sql AS 'SELECT amount / 10'")


def downgrade():
    pass
