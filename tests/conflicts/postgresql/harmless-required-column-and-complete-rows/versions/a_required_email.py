"""required email

Revision ID: a
Revises: root
Create Date: 2026-01-02 10:00:00.000000

"""

from alembic import op

revision = "a"
down_revision = "root"


def upgrade():
    op.alter_column("accounts", "email", nullable=False)


def downgrade():
    pass
