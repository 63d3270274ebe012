"""teams

Revision ID: b1
Revises: root
Create Date: 2026-01-04 10:00:00.000000

"""

import sqlalchemy as sa
from alembic import op

revision = "b1"
down_revision = "root"


def upgrade():
    op.create_table("teams", sa.Column("id", sa.Integer, primary_key=True))


def downgrade():
    pass
