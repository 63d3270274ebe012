"""drop an index

Revision ID: a
Revises: root
Create Date: 2026-01-02 10:00:00.000000

"""

from alembic import op

revision = "a"
down_revision = "root"


def upgrade():
    op.drop_index("ix_orders_account", table_name="orders")


def downgrade():
    pass
