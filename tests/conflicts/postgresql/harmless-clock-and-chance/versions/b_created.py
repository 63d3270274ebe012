"""created

Revision ID: b
Revises: root
Create Date: 2026-01-03 10:00:00.000000

"""

from alembic import op

revision = "b"
down_revision = "root"


def upgrade():
    op.execute("ALTER TABLE accounts ADD COLUMN created TIMESTAMPTZ")
    op.execute("UPDATE accounts SET created = clock_timestamp()")


def downgrade():
    pass
