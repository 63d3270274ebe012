"""two

Revision ID: a2
Revises: a1
Create Date: 2026-01-03 10:00:00.000000

"""

import sqlalchemy as sa
from alembic import op

revision = "a2"
down_revision = "a1"


def upgrade():
    op.add_column("accounts", sa.Column("a2", sa.Integer))


def downgrade():
    pass
