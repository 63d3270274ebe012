"""rank

Revision ID: a1
Revises: root
Create Date: 2026-01-02 10:00:00.000000

"""

import sqlalchemy as sa
from alembic import op

revision = "a1"
down_revision = "root"


def upgrade():
    op.add_column("accounts", sa.Column("rank", sa.Integer))


def downgrade():
    pass
