"""visible with a score

Revision ID: a
Revises: root
Create Date: 2026-01-02 10:00:00.000000

"""

from alembic import op

revision = "a"
down_revision = "root"


def upgrade():
    op.execute("DROP POLICY IF EXISTS visible ON accounts")
    op.execute("CREATE POLICY visible ON accounts USING (score > 0)")


def downgrade():
    pass
