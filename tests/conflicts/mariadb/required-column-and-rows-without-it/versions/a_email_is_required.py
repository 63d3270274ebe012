"""email is required

Revision ID: a
Revises: root
Create Date: 2026-01-02 10:00:00.000000

"""

import sqlalchemy as sa
from alembic import op

revision = "a"
down_revision = "root"


def upgrade():
    op.alter_column("accounts", "email", existing_type=sa.String(100), nullable=False)


def downgrade():
    pass
