"""first quarter

Revision ID: b
Revises: root
Create Date: 2026-01-03 10:00:00.000000

"""

from alembic import op

revision = "b"
down_revision = "root"


def upgrade():
    op.execute(
        "CREATE TABLE events_first PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2026-04-01')"
    )


def downgrade():
    pass
