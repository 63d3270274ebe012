"""email

Revision ID: b
Revises: root
Create Date: 2026-01-03 10:00:00.000000

"""

import sqlalchemy as sa
from alembic import op

revision = "b"
down_revision = "root"


def upgrade():
    with op.batch_alter_table("accounts") as batch:
        batch.alter_column("email", type_=sa.String(200))
        batch.create_index("ix_accounts_email", ["email"])


def downgrade():
    pass
