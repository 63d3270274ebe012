"""first orders

Revision ID: b
Revises: root
Create Date: 2026-01-03 10:00:00.000000

"""

from alembic import op

revision = "b"
down_revision = "root"


def upgrade():
    op.execute("INSERT INTO orders VALUES (1, 1), (2, NULL)")


def downgrade():
    pass
