"""reset scores

Revision ID: b2
Revises: b1
Create Date: 2026-01-05 10:00:00.000000

"""

from alembic import op

revision = "b2"
down_revision = "b1"


def upgrade():
    op.execute("UPDATE accounts SET score = 0")


def downgrade():
    pass
