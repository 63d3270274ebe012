"""unique email

Revision ID: b
Revises: root
Create Date: 2026-01-03 10:00:00.000000

"""

from alembic import op

revision = "b"
down_revision = "root"


def upgrade():
    with op.batch_alter_table("accounts") as batch:
        batch.create_unique_constraint("uq_accounts_email", ["email"])


def downgrade():
    pass
