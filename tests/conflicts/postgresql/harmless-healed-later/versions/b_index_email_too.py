"""index email too

Revision ID: b
Revises: root
Create Date: 2026-01-04 10:00:00.000000

"""

from alembic import op

revision = "b"
down_revision = "root"


def upgrade():
    op.execute("CREATE INDEX IF NOT EXISTS ix_accounts_email ON accounts (email)")


def downgrade():
    pass
