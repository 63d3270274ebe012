"""three

Revision ID: a3
Revises: a2
Create Date: 2026-01-04 10:00:00.000000

"""

from alembic import op

revision = "a3"
down_revision = "a2"


def upgrade():
    op.create_index("ix_accounts", "accounts", ["email"])


def downgrade():
    pass
