"""audit log

Revision ID: a
Revises: root
Create Date: 2026-01-02 10:00:00.000000

"""

import sqlalchemy as sa
from alembic import op

revision = "a"
down_revision = "root"


def upgrade():
    op.create_table("audit_log", sa.Column("id", sa.Integer, primary_key=True))


def downgrade():
    pass
