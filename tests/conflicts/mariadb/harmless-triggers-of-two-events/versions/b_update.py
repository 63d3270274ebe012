"""update

Revision ID: b
Revises: root
Create Date: 2026-01-03 10:00:00.000000

"""

from alembic import op

revision = "b"
down_revision = "root"


def upgrade():
    op.execute(
        "CREATE TRIGGER lower_email_too BEFORE UPDATE ON accounts FOR EACH ROW SET NEW.email = LOWER(NEW.email)"
    )


def downgrade():
    pass
