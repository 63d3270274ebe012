"""visits

Revision ID: b
Revises: root
Create Date: 2026-01-03 10:00:00.000000

"""

from alembic import op

revision = "b"
down_revision = "root"


def upgrade():
    op.execute(
        "CREATE TABLE visits (id INTEGER PRIMARY KEY, account_id INTEGER, FOREIGN KEY (account_id) REFERENCES accounts (id))"
    )


def downgrade():
    pass
