"""longer names

Revision ID: a
Revises: root
Create Date: 2026-01-02 10:00:00.000000

"""

import sqlalchemy as sa
from alembic import op

revision = "a"
down_revision = "root"


def upgrade():
    with op.batch_alter_table("accounts") as batch:
        batch.alter_column("name", type_=sa.String(100))


def downgrade():
    pass
