"""c

Revision ID: c
Revises: root
Create Date: 2026-01-04 10:00:00.000000

"""

from alembic import op

revision = "c"
down_revision = "root"


def upgrade():
    op.create_index("ix_c", "accounts", ["name"])


def downgrade():
    pass
