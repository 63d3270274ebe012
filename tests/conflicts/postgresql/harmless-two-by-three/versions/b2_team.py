"""team

Revision ID: b2
Revises: b1
Create Date: 2026-01-05 10:00:00.000000

"""

import sqlalchemy as sa
from alembic import op

revision = "b2"
down_revision = "b1"


def upgrade():
    op.add_column("accounts", sa.Column("team_id", sa.Integer, sa.ForeignKey("teams.id")))


def downgrade():
    pass
