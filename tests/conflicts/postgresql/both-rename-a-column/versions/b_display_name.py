"""display name

Revision ID: b
Revises: root
Create Date: 2026-01-03 10:00:00.000000

"""

from alembic import op

revision = "b"
down_revision = "root"


def upgrade():
    op.alter_column("accounts", "name", new_column_name="display_name")


def downgrade():
    pass
