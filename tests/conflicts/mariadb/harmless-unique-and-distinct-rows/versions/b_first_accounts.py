"""first accounts

Revision ID: b
Revises: root
Create Date: 2026-01-03 10:00:00.000000

"""

from alembic import op

revision = "b"
down_revision = "root"


def upgrade():
    op.execute(
        "INSERT INTO accounts (id, email) VALUES (1, 'a@example.org'), (2, 'b@example.org'), (3, NULL)"
    )


def downgrade():
    pass
