"""find by email

Revision ID: b
Revises: root
Create Date: 2026-01-03 10:00:00.000000

"""

from alembic import op

revision = "b"
down_revision = "root"


def upgrade():
    op.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    op.execute("CREATE INDEX ix_email ON accounts USING gin (email gin_trgm_ops)")


def downgrade():
    pass
