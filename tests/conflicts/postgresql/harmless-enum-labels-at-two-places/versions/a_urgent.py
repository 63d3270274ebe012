"""urgent

Revision ID: a
Revises: root
Create Date: 2026-01-02 10:00:00.000000

"""

from alembic import op

revision = "a"
down_revision = "root"


def upgrade():
    op.execute("ALTER TYPE priority ADD VALUE 'urgent' AFTER 'high'")


def downgrade():
    pass
