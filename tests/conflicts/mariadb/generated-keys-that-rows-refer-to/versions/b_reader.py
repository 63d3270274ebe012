"""reader

Revision ID: b
Revises: root
Create Date: 2026-01-03 10:00:00.000000

"""

from alembic import op

revision = "b"
down_revision = "root"


def upgrade():
    op.execute("INSERT INTO roles (name) VALUES ('reader')")
    op.execute("INSERT INTO rights VALUES (LAST_INSERT_ID(), 'read')")


def downgrade():
    pass
