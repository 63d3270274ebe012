"""five

Revision ID: a5
Revises: a4
Create Date: 2026-01-06 10:00:00.000000

"""

import sqlalchemy as sa
from alembic import op

revision = "a5"
down_revision = "a4"


def upgrade():
    op.add_column("accounts", sa.Column("a5", sa.Integer))


def downgrade():
    pass
