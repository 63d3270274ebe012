"""closed

Revision ID: a
Revises: root
Create Date: 2026-01-02 10:00:00.000000

"""

from alembic import op

revision = "a"
down_revision = "root"


def upgrade():
    op.execute("ALTER TYPE status RENAME TO status_old")
    op.execute("CREATE TYPE status AS ENUM ('open', 'closed', 'done')")
    op.execute("ALTER TABLE tickets ALTER COLUMN status TYPE status USING status::text::status")
    op.execute("DROP TYPE status_old")


def downgrade():
    pass
