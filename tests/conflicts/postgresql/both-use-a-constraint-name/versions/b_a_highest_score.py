"""a highest score

Revision ID: b
Revises: root
Create Date: 2026-01-03 10:00:00.000000

"""

from alembic import op

revision = "b"
down_revision = "root"


def upgrade():
    op.create_check_constraint("ck_accounts_score", "accounts", "score < 1000")


def downgrade():
    pass
