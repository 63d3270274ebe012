"""editor

Revision ID: a
Revises: root
Create Date: 2026-01-02 10:00:00.000000

"""

from alembic import op

revision = "a"
down_revision = "root"


def upgrade():
    op.execute(
        "WITH r AS (INSERT INTO roles (name) VALUES ('editor') RETURNING id) INSERT INTO rights SELECT id, 'edit' FROM r"
    )


def downgrade():
    pass
