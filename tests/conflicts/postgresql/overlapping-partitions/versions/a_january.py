"""january

Revision ID: a
Revises: root
Create Date: 2026-01-02 10:00:00.000000

"""

from alembic import op

revision = "a"
down_revision = "root"


def upgrade():
    op.execute(
        "CREATE TABLE events_january PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2026-02-01')"
    )


def downgrade():
    pass
