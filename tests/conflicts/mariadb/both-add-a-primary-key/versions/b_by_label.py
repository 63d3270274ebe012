"""by label

Revision ID: b
Revises: root
Create Date: 2026-01-03 10:00:00.000000

"""

from alembic import op

revision = "b"
down_revision = "root"


def upgrade():
    op.create_primary_key("pk", "tags", ["label"])


def downgrade():
    pass
