"""exact fee

Revision ID: b
Revises: root
Create Date: 2026-01-03 10:00:00.000000

"""

from alembic import op

revision = "b"
down_revision = "root"


def upgrade():
    op.execute("CREATE FUNCTION fee(amount numeric) RETURNS numeric LANGUAGE sql AS 'SELECT amount / 20'")


def downgrade():
    pass
