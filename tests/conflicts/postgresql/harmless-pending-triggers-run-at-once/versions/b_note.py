"""note

Revision ID: b
Revises: root
Create Date: 2026-01-03 10:00:00.000000

"""

import sqlalchemy as sa
from alembic import op

revision = "b"
down_revision = "root"


def upgrade():
    op.add_column("members", sa.Column("note", sa.Text))


def downgrade():
    pass
