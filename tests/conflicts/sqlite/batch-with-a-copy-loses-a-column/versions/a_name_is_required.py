"""name is required

Revision ID: a
Revises: root
Create Date: 2026-01-02 10:00:00.000000

"""

import sqlalchemy as sa
from alembic import op

revision = "a"
down_revision = "root"


def upgrade():
    accounts = sa.Table(
        "accounts",
        sa.MetaData(),
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(50)),
        sa.Column("email", sa.Text),
        sa.Column("score", sa.Integer),
    )
    with op.batch_alter_table("accounts", copy_from=accounts) as batch:
        batch.alter_column("name", nullable=False, server_default="")


def downgrade():
    pass
