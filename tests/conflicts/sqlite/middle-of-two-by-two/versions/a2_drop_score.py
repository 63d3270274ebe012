"""drop score

Revision ID: a2
Revises: a1
Create Date: 2026-01-03 10:00:00.000000

"""

from alembic import op

revision = "a2"
down_revision = "a1"


def upgrade():
    op.execute("ALTER TABLE accounts DROP COLUMN score")


def downgrade():
    pass
