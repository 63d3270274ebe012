"""unique email

Revision ID: a
Revises: root
Create Date: 2026-01-02 10:00:00.000000

"""

from alembic import op

revision = "a"
down_revision = "root"


def upgrade():
    op.create_unique_constraint("uq_accounts_email", "accounts", ["email"])


def downgrade():
    pass
