"""team names

Revision ID: b3
Revises: b2
Create Date: 2026-01-06 10:00:00.000000

"""

import sqlalchemy as sa
from alembic import op

revision = "b3"
down_revision = "b2"


def upgrade():
    op.add_column("teams", sa.Column("name", sa.Text))


def downgrade():
    pass
