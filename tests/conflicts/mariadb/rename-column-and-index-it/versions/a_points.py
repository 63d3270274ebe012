"""points

Revision ID: a
Revises: root
Create Date: 2026-01-02 10:00:00.000000

"""

import sqlalchemy as sa
from alembic import op

revision = "a"
down_revision = "root"


def upgrade():
    op.alter_column("accounts", "score", new_column_name="points", existing_type=sa.Integer)


def downgrade():
    pass
