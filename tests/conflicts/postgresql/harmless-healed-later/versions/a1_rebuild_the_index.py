"""rebuild the index

Revision ID: a1
Revises: root
Create Date: 2026-01-02 10:00:00.000000

"""

from alembic import op

revision = "a1"
down_revision = "root"


def upgrade():
    op.execute("DROP INDEX IF EXISTS ix_accounts_email")


def downgrade():
    pass
