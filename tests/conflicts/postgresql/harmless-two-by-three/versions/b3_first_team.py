"""first team

Revision ID: b3
Revises: b2
Create Date: 2026-01-06 10:00:00.000000

"""

from alembic import op

revision = "b3"
down_revision = "b2"


def upgrade():
    op.execute("INSERT INTO teams VALUES (1)")


def downgrade():
    pass
