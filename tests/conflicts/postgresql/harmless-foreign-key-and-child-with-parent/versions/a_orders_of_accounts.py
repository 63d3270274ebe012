"""orders of accounts

Revision ID: a
Revises: root
Create Date: 2026-01-02 10:00:00.000000

"""

from alembic import op

revision = "a"
down_revision = "root"


def upgrade():
    op.create_foreign_key("fk_orders_account", "orders", "accounts", ["account_id"], ["id"])


def downgrade():
    pass
