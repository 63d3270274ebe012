"""name is required

Revision ID: b
Revises: root
Create Date: 2026-01-03 10:00:00.000000

"""

from alembic import op

revision = "b"
down_revision = "root"


def upgrade():
    op.execute("ALTER TABLE accounts MODIFY name VARCHAR(50) NOT NULL DEFAULT ''")


def downgrade():
    pass
