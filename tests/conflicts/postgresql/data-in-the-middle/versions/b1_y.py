"""y

Revision ID: b1
Revises: root
Create Date: 2026-01-04 10:00:00.000000

"""

from alembic import op

revision = "b1"
down_revision = "root"


def upgrade():
    op.execute("CREATE TABLE y (id INTEGER)")


def downgrade():
    pass
