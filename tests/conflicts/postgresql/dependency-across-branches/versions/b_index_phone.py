"""index phone

Revision ID: b
Revises: root
Create Date: 2026-01-04 10:00:00.000000

"""

from alembic import op

revision = "b"
down_revision = "root"
depends_on = "a1"


def upgrade():
    op.create_index("ix_accounts_phone", "accounts", ["phone"])


def downgrade():
    pass
