"""visible with an email

Revision ID: b
Revises: root
Create Date: 2026-01-03 10:00:00.000000

"""

from alembic import op

revision = "b"
down_revision = "root"


def upgrade():
    op.execute("DROP POLICY IF EXISTS visible ON accounts")
    op.execute("CREATE POLICY visible ON accounts USING (email IS NOT NULL)")


def downgrade():
    pass
