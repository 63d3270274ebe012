"""four

Revision ID: a4
Revises: a3
Create Date: 2026-01-05 10:00:00.000000

"""

import sqlalchemy as sa
from alembic import op

revision = "a4"
down_revision = "a3"


def upgrade():
    op.add_column("accounts", sa.Column("a4", sa.Integer))


def downgrade():
    pass
