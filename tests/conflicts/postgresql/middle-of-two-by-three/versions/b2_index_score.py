"""index score

Revision ID: b2
Revises: b1
Create Date: 2026-01-05 10:00:00.000000

"""

from alembic import op

revision = "b2"
down_revision = "b1"


def upgrade():
    op.create_index("ix_accounts_score", "accounts", ["score"])


def downgrade():
    pass
