"""label by email

Revision ID: b
Revises: root
Create Date: 2026-01-03 10:00:00.000000

"""

from alembic import op

revision = "b"
down_revision = "root"


def upgrade():
    op.execute(
        "CREATE OR REPLACE FUNCTION account_label(a accounts) RETURNS varchar LANGUAGE sql AS 'SELECT $1.email::varchar'"
    )


def downgrade():
    pass
